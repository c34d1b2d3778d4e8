/**
 * Guests that a former tree started, in a pool of its processes: today's program updates them, and resumes
 * guests that that tree saved.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { processStartTime } from '../../src/linux/process.ts'
import { readUpdateRecord } from '../../src/liveupdate/kernel/update-record.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { beforeJump } from '../kept/module-scripts.ts'
import { OlderTree } from '../kept/older-run.ts'
import { formerWords } from '../mount/former-words.ts'
import { cannotRunOlder, mountOlderPool, type OlderPool } from '../mount/older.ts'
import { guestmemfs, until } from '../mount/support.ts'
import { Serial } from './serial.ts'
import {
  listVms,
  monitor,
  qemuPid,
  resumeVms,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
  withEndings,
} from './support.ts'

const options = { skip: cannotRunOlder, timeout: 180_000 }

interface Elder {
  readonly pool: VmPool
  readonly older: OlderPool['older']
  readonly vm: TestVm
}

/** Starts a guest with pool, keeper, server, supervisor and command line of the former tree. */
async function startElder(t: TestContext): Promise<Elder> {
  const mounted = Promise.withResolvers<OlderPool>()
  const pool = await withEndings(t, async () => {
    mounted.resolve(await mountOlderPool(t, '256M'))
    return (await mounted.promise).pool
  })
  const { older } = await mounted.promise
  return {
    pool,
    older,
    vm: await startTinyVm(t, pool, 'elder', {
      command: [process.execPath, older.cli],
      spell: formerWords,
    }),
  }
}

async function update(pool: VmPool, vm: TestVm): Promise<void> {
  const before = qemuPid(vm.name)
  const { status, report, stderr } = await updateVmm(pool)
  assert.deepEqual([status, report.vms.map(({ outcome }) => outcome)], [0, ['updated']], stderr)
  assert.notEqual(qemuPid(vm.name), before)
  await vm.serial.moreTicks(3)
}

test(
  'a guest is updated, its pool taken over, and updated again, without its former supervisor',
  options,
  async (t) => {
    const { pool, vm } = await startElder(t)
    const [listed] = await listVms(pool)
    assert.deepEqual([listed?.name, listed?.state, listed?.pid], [vm.name, 'running', qemuPid(vm.name)])
    await update(pool, vm)

    const keeper = pool.keeperPid()
    process.kill(keeper, 'SIGKILL')
    await until('the keeper ends', () => processStartTime(keeper) === undefined)
    const { status, stdout } = await guestmemfs('mount', pool.pool, pool.mountPoint)
    assert.equal(status, 0)
    assert.match(stdout, /a new one took over/)
    await vm.serial.moreTicks(3)
    await update(pool, vm)
    assert.equal(vm.serial.findBreak(), undefined)
    assert.equal(await vm.ended, 128 + 9, 'its supervisor would have started a QEMU of its own')
  },
)

test('a guest that was saved for a jump, its pool frozen, is resumed from the pool', options, async (t) => {
  const { pool, older, vm } = await startElder(t)
  await vm.serial.moreTicks(3)
  await new OlderTree(older.folder).script(beforeJump(pool.pool, pool.mountPoint, vm.ramFile))
  await monitor(vm.name, 'quit').catch(() => {})
  await vm.ended
  assert.equal((await listVms(pool))[0]?.state, 'saved')
  assert.deepEqual(Object.keys(readUpdateRecord(pool.mountPoint)?.savedAtMs ?? {}), [vm.name])
  const ticks = vm.serial.ticks()

  const { status, report, stderr } = await resumeVms(pool)
  assert.deepEqual([status, report.vms.map(({ outcome }) => outcome)], [0, ['resumed']], stderr)
  assert.equal(readUpdateRecord(pool.mountPoint), undefined)
  const log = new Serial(vmPaths(vm.name).log)
  await log.until(3)
  assert.equal(log.ticks()[0]?.number, ticks.length + 1, 'it goes on with the tick after its last')
  assert.ok([...ticks, ...log.ticks()].every(({ bad }) => bad === 0))
  assert.equal((await guestmemfs('fsck', pool.pool)).stdout, `${pool.pool}: clean\n`)
})
