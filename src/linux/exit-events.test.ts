/** Tests of the kernel's events about processes that exit, with real ones. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ExitEvents, pidfdsReportEnds } from './exit-events.ts'

test('how a process ended is known after its parent has waited for it, by the kernel’s events', {
  skip: process.getuid?.() === 0 ? false : 'needs root',
}, async (t) => {
  const events = ExitEvents.open()
  if (events === undefined) return t.skip('the kernel has no process connector')
  // The kernel takes the order a moment later.
  await sleep(100)
  for (const [script, end] of [
    ['read go; exit 7', { code: 7, signal: null }],
    ['read go; kill -KILL $$', { code: null, signal: 'SIGKILL' }],
  ] as const) {
    const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'inherit'] })
    const pid = child.pid as number
    events.watch(pid)
    const exited = once(child, 'exit')
    child.stdin.end('go\n')
    await exited
    assert.deepEqual(events.take(pid), end)
    assert.equal(events.take(pid), undefined)
  }
  events.close()
})

test('pidfds tell the end of a process from Linux 6.15 on', () => {
  const told = ['6.9.0', '6.14.11-amd64', '6.15-rc1', '6.18.4', '7.0.0'].map((version) =>
    pidfdsReportEnds(version),
  )
  assert.deepEqual(told, [false, false, true, true, true])
})
