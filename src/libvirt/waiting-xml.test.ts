import assert from 'node:assert/strict'
import { test } from 'node:test'
import { domainXml } from './testing/domain-xml.ts'
import { waitingXml } from './waiting-xml.ts'
import { childrenOf, elementAt, parseXml } from './xml.ts'

function words(xml: string): (string | undefined)[] {
  const line = elementAt(parseXml(xml), 'qemu:commandline')
  return line === undefined
    ? []
    : childrenOf(line, 'qemu:arg').map(({ attributes }) => attributes.get('value'))
}

test('a domain without words of its own gets two, and nothing else', () => {
  const xml = waitingXml(domainXml())
  assert.deepEqual(words(xml), ['-incoming', 'defer'])
  const root = parseXml(xml)
  assert.equal(root.attributes.get('xmlns:qemu'), 'http://libvirt.org/schemas/domain/qemu/1.0')
  assert.deepEqual([root.attributes.get('type'), root.attributes.get('id')], ['kvm', '7'])
  assert.deepEqual(
    root.children.map(({ name }) => name),
    [...parseXml(domainXml()).children.map(({ name }) => name), 'qemu:commandline'],
  )
})

test('its own words stay before them, and twice changes nothing', () => {
  const own = domainXml()
    .replace('<domain ', "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ")
    .replace(
      '</domain>',
      "  <qemu:commandline>\n    <qemu:arg value='-no-user-config'/>\n  </qemu:commandline>\n</domain>",
    )
  const once = waitingXml(own)
  assert.deepEqual(words(once), ['-no-user-config', '-incoming', 'defer'])
  assert.equal(waitingXml(once), once)
})
