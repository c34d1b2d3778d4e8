/**
 * Tests of the resumption by several commands at once in the next kernel, as pools are mounted at the same
 * time: a guest that waits for a pool which is mounted late delays no guest of another pool, and is resumed
 * once.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { writeUpdateRecord } from '../../src/liveupdate/kernel/update-record.ts'
import { guestmemfs, type TestPool, until } from '../mount/support.ts'
import { moodyQemu } from './fake-qemu.ts'
import { leaveSaved } from './leave-saved.ts'
import { goesOn, startSavable } from './spread-guest.ts'
import { listVms, mountVmPool, qemuPid, quitFirst, resumeVms, scratchFolder, startTinyVm } from './support.ts'

/** What an update leaves in each pool that it takes along, as the next kernel finds it. */
function leaveRecord({ mountPoint }: TestPool): void {
  const nowMs = Date.now()
  writeUpdateRecord(mountPoint, {
    ...{ format: 1, id: randomUUID(), via: 'kexec', before: '6.12', next: '7.3', bootId: 'the former one' },
    ...{ startedAtMs: nowMs, jumpAtMs: nowMs, rtc: null, savedAtMs: {} },
  })
}

/** A guest saved with RAM in two pools, of which the second one is not mounted, in the next kernel. */
async function startLate(t: TestContext, word: string) {
  const spread = await startSavable(t, word)
  await spread.save()
  for (const pool of [spread.first, spread.second]) leaveRecord(pool)
  assert.equal((await guestmemfs('umount', spread.second.mountPoint)).status, 0)
  return spread
}

test('a guest whose second pool is late holds back no guest of another pool', async (t) => {
  const late = await startLate(t, 'late')
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const options = quitFirst(scratchFolder(t))
  const ready = await startTinyVm(t, pool, 'ready', { qemu: qemu.path, options, seed: 2 })
  await leaveSaved(pool, qemu)
  leaveRecord(pool)

  let isWaiting = true
  const waiting = resumeVms(late.first, '--timeout', '25s').finally(() => {
    isWaiting = false
  })
  // It has the lock by then, unless it has released it.
  await until('it waits', async () => (await listVms(late.first))[0]?.state === 'saved')
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const { status, stderr, report } = await resumeVms(pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'resumed'], stderr)
  assert.ok(isWaiting, 'the other guest still waits for its pool')
  assert.equal((await listVms(pool))[0]?.state, 'running')
  await until('it runs', () => qemuPid(ready.name) > 0)

  const { second } = late
  assert.equal((await guestmemfs('mount', second.pool, second.mountPoint)).status, 0)
  const resumed = await waiting
  assert.deepEqual([resumed.status, resumed.report.vms[0]?.outcome], [0, 'resumed'], resumed.stderr)
  await goesOn(late)
})

test('a guest that two commands resume, one of which waited for the pool that the other mounts, is started once', async (t) => {
  const late = await startLate(t, 'twice')
  const { vm, first, second } = late
  const waiting = resumeVms(first, '--timeout', '25s')
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const mounted = await guestmemfs('mount', second.pool, second.mountPoint, '--resume')
  assert.equal(mounted.status, 0, mounted.stderr)
  const resumed = await waiting
  assert.deepEqual([resumed.status, resumed.report.vms[0]?.problem], [0, null], resumed.stderr)
  assert.equal((await listVms(first))[0]?.state, 'running')
  assert.ok(qemuPid(vm.name) > 0)
  await goesOn(late)
})
