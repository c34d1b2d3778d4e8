import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSameMachine } from './same-machine.ts'
import { domainXml } from './testing/domain-xml.ts'

const XML = domainXml({ more: "<clock offset='variable' adjustment='0' basis='utc'/>" })
function changed(from: string, to: string): string {
  assert.ok(XML.includes(from), from)
  return XML.replace(from, to)
}

test('what the guest or a management program changes at any time is no other machine', () => {
  for (const after of [
    XML,
    changed("state='connected'", "state='disconnected'"),
    changed("<target dev='sda' bus='sata'/>", "<target dev='sda' bus='sata' tray='open'/>"),
    changed("adjustment='0'", "adjustment='3'"),
    changed("<currentMemory unit='KiB'>262144", "<currentMemory unit='KiB'>131072"),
    changed("<alias name='of another program'/>", ''),
    changed('<vcpu', '<cputune><shares>512</shares></cputune>\n  <vcpu'),
  ])
    assert.ok(isSameMachine(XML, after))
})

test('another disk, device, size or path is another machine', () => {
  for (const after of [
    changed('web.qcow2', 'web.snapshot'),
    changed("index='3'", "index='4'"),
    changed('</devices>', "<watchdog model='itco'/></devices>"),
    changed("<memory unit='KiB'>262144", "<memory unit='KiB'>524288"),
    changed("<vcpu placement='static'>1", "<vcpu placement='static' current='1'>2"),
    changed("id='7'", "id='8'"),
  ])
    assert.ok(!isSameMachine(XML, after))
})
