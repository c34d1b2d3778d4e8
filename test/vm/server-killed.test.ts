/** Tests that guests notice nothing when the file system's server dies, not even in the middle of a save. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { kill, mountVmPool, startTinyVm, updateVmm } from './support.ts'

test('the server is killed while a guest runs', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'calm')
  for (let round = 0; round < 3; round++) {
    const before = pool.serverPid()
    kill(before)
    await vm.serial.moreTicks(3)
    await successor(pool, before)
  }
  assert.equal(vm.serial.findBreak(), undefined)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  await vm.serial.moreTicks(3)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('the server is killed again and again while guests are updated', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'busy')
  let kills = 0
  for (let round = 0; round < 3; round++) {
    const update = updateVmm(pool)
    const over = update.then(() => true)
    do {
      const before = pool.serverPid()
      kill(before)
      kills++
      // A server that is killed before it serves lets nothing of the save go on.
      await Promise.race([over, successor(pool, before)])
    } while (!(await Promise.race([over, sleep(60 + 40 * round).then(() => false)])))
    const { status, stderr, report } = await update
    assert.equal(status, 0, `${stderr} ${JSON.stringify(report)}`)
    await vm.serial.moreTicks(2)
    assert.equal(vm.serial.findBreak(), undefined)
  }
  t.diagnostic(`${kills} kills`)
  assert.ok(kills > 3)
})

/** Waits for the next server, so that each round kills another one. */
async function successor(
  pool: { serverPid: () => number; mountPoint: string },
  before: number,
): Promise<void> {
  const deadline = performance.now() + 20_000
  while (pool.serverPid() === before) {
    if (performance.now() > deadline)
      throw new Error(`no new server: ${readFileSync('/proc/loadavg', 'latin1')}`)
    await sleep(20)
  }
}
