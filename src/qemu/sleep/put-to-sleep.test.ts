/**
 * Tests of the suspension by an agent that does, refuses, lies, is late or floods, and of a QEMU that ends.
 */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { QmpClient } from '../qmp-client.ts'
import { GuestStoppedError } from '../save.ts'
import { suspendByAgent } from './put-to-sleep.ts'
import { type AgentAnswer, refusing, serveAgent, serveMonitor, sound } from './testing/fake-agent.ts'

interface Attempt {
  readonly asleep: ReturnType<typeof suspendByAgent>
  /** What was done to the record, in order. */
  readonly record: readonly string[]
  readonly qmp: QmpClient
}

/** `onSuspend`: what the agent does when it is asked to suspend the guest; `setStatus` is QEMU's. */
async function attempt(
  t: TestContext,
  onSuspend: (setStatus: (status: string) => void, socket: Socket) => string | undefined,
  { timeoutMs = 1000, agent = sound }: { timeoutMs?: number; agent?: typeof sound } = {},
): Promise<Attempt> {
  let status = 'running'
  const record: string[] = []
  const answer: AgentAnswer = ({ execute }, socket) =>
    execute === 'guest-suspend-ram'
      ? onSuspend((next) => {
          status = next
        }, socket)
      : undefined
  const path = await serveAgent(t, agent(answer))
  const monitor = await serveMonitor(t, () => ({ status, running: status === 'running' }))
  const qmp = await QmpClient.connect(monitor, 2000)
  t.after(() => qmp.close())
  const asleep = suspendByAgent({
    ...{ name: 'web', qmp, path, pid: process.pid, timeoutMs },
    onAsk: () => record.push('asked'),
    onRefused: () => record.push('ended'),
  })
  asleep.catch(() => {})
  return { asleep, record, qmp }
}

test('a guest that suspends is on record before its agent is asked, and its agent need not answer', async (t) => {
  let known: readonly string[] = []
  const { asleep, record } = await attempt(t, (setStatus) => {
    known = [...record]
    setTimeout(() => setStatus('suspended'), 150)
    return undefined
  })
  const { askedAtMs, sinceMs } = await asleep
  assert.deepEqual([known, record], [['asked'], ['asked']])
  assert.ok(sinceMs >= askedAtMs && sinceMs <= Date.now() + 1)
})

test('one whose agent refuses runs on, by the words of the agent, and is on record no more', async (t) => {
  const { asleep, record } = await attempt(t, () => refusing('no S3 here'))
  await assert.rejects(asleep, /^QemuError: its agent did not suspend it: no S3 here$/)
  assert.deepEqual(record, ['asked', 'ended'])
})

test('one that suspends although its agent refuses is suspended', async (t) => {
  const { asleep, record } = await attempt(t, (setStatus) => {
    setStatus('suspended')
    return refusing('no S3 here')
  })
  await asleep
  assert.deepEqual(record, ['asked'])
})

test('one whose agent says that it does, and does not, or floods, is left running in time, and stays on record', async (t) => {
  for (const lie of [
    () => '{"return": {}}\n',
    () => undefined,
    (_: unknown, socket: Socket) => void socket.destroy(),
    () => 'x'.repeat(300_000),
    () => '{"return": {}}\n'.repeat(30_000),
  ] satisfies Parameters<typeof attempt>[1][]) {
    const { asleep, record } = await attempt(t, lie, { timeoutMs: 150 })
    await assert.rejects(asleep, (error: Error) => {
      assert.ok(!(error instanceof GuestStoppedError))
      assert.match(
        error.message,
        /did not suspend within 150 ms: it runs on; .*'guestmemfs resume --name web' wakes it$/,
      )
      return true
    })
    assert.deepEqual(record, ['asked'])
  }
})

test('where no agent answers nothing is asked, and nothing is on record', async (t) => {
  const silent = () => () => undefined
  const { asleep, record, qmp } = await attempt(t, () => undefined, { agent: silent })
  // Its own time limit is longer than a test should take.
  const first = await Promise.race([
    asleep.catch(() => 'given up'),
    new Promise((done) => setTimeout(done, 100, 'waits')),
  ])
  assert.deepEqual([first, record], ['waits', []])
  assert.deepEqual(await qmp.execute('query-status'), { status: 'running', running: true })
})

test('where its QEMU ends meanwhile it is not said to run', async (t) => {
  const { asleep, record, qmp } = await attempt(t, () => {
    setTimeout(() => qmp.close(), 50)
    return undefined
  })
  await assert.rejects(asleep, (error: Error) => {
    assert.ok(error instanceof GuestStoppedError)
    assert.match(error.message, /closed by us, after its agent was asked to suspend it$/)
    return true
  })
  assert.deepEqual(record, ['asked'])
})
