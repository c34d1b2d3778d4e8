/**
 * Tests of which QEMU is given a saved guest, and of one that has it already, by a monitor that answers as
 * that of a QEMU that waits.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { QmpClient } from './qmp-client.ts'
import { loadSaved, statusAfterLoad } from './restore.ts'
import { serveMonitor } from './sleep/testing/fake-agent.ts'

/** The commands that a QEMU of this version gets for a guest that is suspended or not. */
async function loadInto(
  t: TestContext,
  version: readonly [number, number, number],
  isSuspended: boolean | undefined,
): Promise<{ readonly commands: readonly string[]; readonly error: unknown }> {
  const commands: string[] = []
  const answer = (command: string) => {
    commands.push(command)
    return command === 'query-migrate' ? { status: 'completed' } : {}
  }
  const qmp = await QmpClient.connect(await serveMonitor(t, answer, version), 2000)
  const state = { path: '/state', sizeBytes: 1, crc32: 0, wasRunning: true, stoppedAtMs: 0 }
  const saved = { ...state, qemuVersion: '10.0.2', ...(isSuspended !== undefined && { isSuspended }) }
  const error: unknown = await loadSaved(qmp, saved, 5000).catch((cause: unknown) => cause)
  qmp.close()
  return { commands: commands.filter((command) => command !== 'qmp_capabilities'), error }
}

test('a guest that was suspended when it was saved is loaded into no QEMU that would run it', async (t) => {
  const { commands, error } = await loadInto(t, [8, 2, 7], true)
  assert.match(String(error), /QEMU 8\.2\.7: it cannot load a suspended guest: take QEMU 9\.0\.0 or newer$/)
  assert.deepEqual(commands, [])
})

test('one that was not is loaded there, and both are by a newer QEMU', async (t) => {
  for (const [version, isSuspended] of [
    [[8, 2, 7], undefined],
    [[9, 0, 0], true],
    [[10, 0, 2], undefined],
  ] as const) {
    const { commands, error } = await loadInto(t, version, isSuspended)
    assert.equal(error, undefined)
    assert.equal(commands[0], 'migrate-incoming')
  }
})

/** `migrations`: what `query-migrate` answers, one after the other; the guest is loaded with the last one. */
async function statusOf(t: TestContext, migrations: readonly object[]) {
  const left = [...migrations]
  const commands: string[] = []
  const answer = (command: string) => {
    commands.push(command)
    if (command === 'query-status')
      return { status: left.length > 0 ? 'inmigrate' : 'paused', running: false }
    return command === 'query-migrate' ? (left.shift() ?? migrations.at(-1)) : {}
  }
  const qmp = await QmpClient.connect(await serveMonitor(t, answer, [10, 0, 2]), 2000)
  const status = await statusAfterLoad(qmp, 5000).catch(String)
  qmp.close()
  assert.ok(!commands.includes('migrate-incoming'))
  return status
}

test('a load that another process has begun is waited for, and none is begun beside it', async (t) => {
  assert.equal(await statusOf(t, [{ status: 'active' }, { status: 'completed' }]), 'paused')
  assert.equal(
    await statusOf(t, [{ status: 'setup' }, { status: 'active' }, { status: 'completed' }]),
    'paused',
  )
})

test('where none is under way the state is what it is, and one that fails says why', async (t) => {
  assert.equal(await statusOf(t, [{}, {}]), 'inmigrate')
  assert.equal(await statusOf(t, []), 'paused')
  const failed = [{ status: 'active' }, { status: 'failed' }, { status: 'failed', 'error-desc': 'no device' }]
  assert.match(await statusOf(t, failed), /no device$/)
})
