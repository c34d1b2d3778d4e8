/**
 * `umount`, `umount -l` and `--force` of a pool in a region, under a guest that maps its RAM: the guest goes
 * on, nothing holds the region any more, and the next mount finds all of it.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { unmount } from '../../src/linux/mounts.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { readPoolRecord } from '../../src/run/pool-record.ts'
import { Mapper } from './mapper.ts'
import { assertRefused, cannotMountRegion, mountRegion } from './region-pool.ts'
import { runProgram, until } from './support.ts'

const MIB = 2 ** 20
const options = { skip: cannotMountRegion, timeout: 120_000 }

async function guestInRegion(t: TestContext) {
  const pool = await mountRegion(t)
  fs.writeFileSync(pool.path('file'), 'kept')
  const guest = await Mapper.start(t, pool.path('ram'), 4 * MIB, { create: true })
  await guest.store(MIB, 7)
  const keeper = pool.keeperPid()
  const isOver = async () => {
    await until('its keeper has ended', () => processStartTime(keeper) === undefined)
    assert.equal(readPoolRecord(pool.pool), undefined)
    await guest.store(2 * MIB, 8)
  }
  const isBack = async () => {
    const source = `store=devmem,region=${pool.folder}`
    const again = await pool.tree.run('mount', pool.pool, pool.mountPoint, '-o', source)
    assert.deepEqual([again.stderr, again.status], ['', 0])
    assert.match(again.stdout, /found again/)
    assert.equal(fs.readFileSync(pool.path('file'), 'utf8'), 'kept')
    const next = await Mapper.start(t, pool.path('ram'), 4 * MIB)
    assert.deepEqual([await next.load(MIB), await next.load(2 * MIB)], [7, 8])
    // Of one memory: what the guest writes now is what the other one reads.
    await guest.store(3 * MIB, 9)
    assert.equal(await next.load(3 * MIB), 9)
    await next.end()
    await guest.end()
    const clean = await pool.tree.run('fsck', pool.pool)
    assert.deepEqual([clean.stderr, clean.status], ['', 0])
  }
  return { pool, guest, isOver, isBack }
}

test(
  '--force ends the mount of a region, its guest goes on, the next mount finds all',
  options,
  async (t) => {
    const { pool, isOver, isBack } = await guestInRegion(t)
    assertRefused(await pool.tree.run('umount', pool.pool), /is busy: .*--force/)
    const forced = await pool.tree.run('umount', '--force', pool.pool)
    assert.deepEqual([forced.stderr, forced.status], ['', 0])
    assert.match(forced.stdout, /its memory is in its region/)
    await isOver()
    await isBack()
  },
)

test(
  'umount -l of a region: the line names --force, which ends what was left of the mount',
  options,
  async (t) => {
    const { pool, isOver, isBack } = await guestInRegion(t)
    assert.equal(unmount(pool.mountPoint, { lazy: true }), undefined)
    for (const words of [
      ['umount', pool.pool],
      ['mount', pool.pool, pool.mountPoint],
    ])
      assertRefused(
        await pool.tree.run(...words),
        new RegExp(`still in use: .*'guestmemfs umount --force ${pool.pool}'`),
      )
    const forced = await pool.tree.run('umount', '--force', pool.pool)
    assert.deepEqual([forced.stderr, forced.status], ['', 0])
    await isOver()
    await isBack()
  },
)

test('umount -f of a region, under its guest', options, async (t) => {
  const { pool, isOver, isBack } = await guestInRegion(t)
  await runProgram('umount', ['-f', pool.mountPoint])
  await isOver()
  await isBack()
})
