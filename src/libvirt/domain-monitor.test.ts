import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QemuError, QemuRefusal } from '../values/errors.ts'
import { DomainMonitor } from './domain-monitor.ts'

test('a command is one word of virsh, and its answer what QEMU returned', async () => {
  const asked: (readonly string[])[] = []
  const monitor = new DomainMonitor('UUID', async (words) => {
    asked.push(words)
    return '{"return":{"status":"running"},"id":"libvirt-33"}\n'
  })
  assert.deepEqual(await monitor.execute('query-status'), { status: 'running' })
  await monitor.execute('qom-get', { path: '/objects/it\'s "x"', property: 'mem-path' })
  assert.deepEqual(asked, [
    ['qemu-monitor-command', 'UUID', '{"execute":"query-status","arguments":{}}'],
    [
      'qemu-monitor-command',
      'UUID',
      '{"execute":"qom-get","arguments":{"path":"/objects/it\'s \\"x\\"","property":"mem-path"}}',
    ],
  ])
})

test("a refusal has QEMU's words, and anything that is no QMP is an error", async () => {
  const answering = (text: string) => new DomainMonitor('UUID', async () => text)
  await assert.rejects(
    answering('{"id":"libvirt-9","error":{"class":"GenericError","desc":"no such thing"}}').execute('x'),
    (error) => error instanceof QemuRefusal && error.message === 'x: no such thing',
  )
  for (const text of ['', '{}', 'error: ', '{"error":"words"}'])
    await assert.rejects(answering(text).execute('x'), {
      name: 'QemuError',
      message: 'x: an answer that is no QMP',
    })
})

test('past its deadline a domain is asked nothing more', async () => {
  let calls = 0
  const monitor = new DomainMonitor('UUID', async () => {
    calls++
    return '{"return":1}'
  })
  monitor.endWithin(-1, 'too late')
  await assert.rejects(
    monitor.execute('query-status'),
    (error) => error instanceof QemuError && error.message === 'too late',
  )
  assert.equal(calls, 0)
})
