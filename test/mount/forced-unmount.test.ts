/**
 * The recovery after an unmount under guests: the message after `umount -l` names the command, which brings
 * the pool back, while the guest keeps its memory.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { close, hasHungUp } from '../../src/linux/descriptors.ts'
import { openFuseDevice } from '../../src/linux/fuse-device.ts'
import { mountFuse, mountTable, unmount } from '../../src/linux/mounts.ts'
import type { Fd } from '../../src/values/ids.ts'
import { Mapper } from './mapper.ts'
import {
  assertClean,
  beforeUnmount,
  cannotMount,
  guestmemfs,
  mountTestPool,
  poolRecord,
  runProgram,
  type TestPool,
  testMountPoint,
  until,
} from './support.ts'

const MIB = 2 ** 20
const options = { skip: cannotMount, timeout: 60_000 }

/** A pool with a file, a guest that maps its RAM, and one whose RAM file was deleted. */
async function guests(t: TestContext) {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('file'), 'kept')
  const guest = await Mapper.start(t, pool.path('ram'), 4 * MIB, { create: true })
  const deleted = await Mapper.start(t, pool.path('gone'), 2 * MIB, { create: true })
  fs.unlinkSync(pool.path('gone'))
  await guest.store(0, 7)
  await deleted.store(0, 8)
  return { pool, guest, deleted }
}

/** Mounted again, the pool is as it was, and the guest maps the file's memory. */
async function everythingIsBack(
  t: TestContext,
  { pool, guest, deleted }: { pool: TestPool; guest: Mapper; deleted: Mapper },
) {
  const again = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.equal(again.status, 0, again.stderr)
  assert.deepEqual(fs.readdirSync(pool.mountPoint).sort(), ['file', 'ram'])
  assert.equal(fs.readFileSync(pool.path('file'), 'utf8'), 'kept')
  await guest.store(3 * MIB, 9)
  const next = await Mapper.start(t, pool.path('ram'), 4 * MIB)
  assert.deepEqual([await next.load(0), await next.load(3 * MIB)], [7, 9])
  await next.end()
  // No other file gets the memory of a deleted file that a process maps: the rest of the pool, to the last
  // block, is zero.
  fs.writeFileSync(pool.path('rest'), '')
  fs.truncateSync(pool.path('rest'), fs.statfsSync(pool.mountPoint).bfree * 2 * MIB)
  const rest = await Mapper.start(t, pool.path('rest'), 2 * MIB)
  await rest.fill(0, 2 * MIB, 1)
  assert.deepEqual([await deleted.load(0), await guest.load(0)], [8, 7])
  await rest.end()
  await assertClean(pool.pool)
}

test(
  'after umount -l the message names the command that mounts it again, and it does',
  options,
  async (t) => {
    const all = await guests(t)
    const { pool, mountPoint } = all.pool
    assert.equal(unmount(mountPoint, { lazy: true }), undefined)
    for (const words of [
      ['umount', pool],
      ['mount', pool, mountPoint],
    ]) {
      const { status, stderr } = await guestmemfs(...words)
      assert.equal(status, 1)
      assert.match(stderr, /^guestmemfs: pool '\S+' was unmounted from \S+ and is still in use: [^\n]+\n$/)
      assert.doesNotMatch(stderr, /\bend what\b/, 'no guest need be ended')
      const [, command = ''] = /'guestmemfs (umount --force \S+)'/.exec(stderr) ?? []
      assert.equal(command, `umount --force ${pool}`, stderr)
    }
    const forced = await guestmemfs('umount', '--force', pool)
    assert.equal(forced.status, 0, forced.stderr)
    assert.match(forced.stdout, /parked/)
    await everythingIsBack(t, all)
  },
)

test('a new keeper finds the connection of what was unmounted before', options, async (t) => {
  const all = await guests(t)
  const { pool, mountPoint } = all.pool
  const { connection } = poolRecord(pool)
  assert.equal(connection, fs.statSync(mountPoint).dev)
  process.kill(all.pool.keeperPid(), 'SIGKILL')
  assert.equal((await guestmemfs('mount', pool, mountPoint)).status, 0)
  assert.equal(poolRecord(pool).connection, connection)
  assert.equal(unmount(mountPoint, { lazy: true }), undefined)
  assert.equal((await guestmemfs('umount', '--force', pool)).status, 0)
  await everythingIsBack(t, all)
})

/** Mounts of no pool and without a server, until one has the number. Answers its connection. */
function connectionNumbered(t: TestContext, wanted: number): Fd {
  for (let tries = 0; tries < 20; tries++) {
    const target = testMountPoint(t)
    const fuseFd = openFuseDevice()
    t.after(() => close(fuseFd))
    assert.equal(mountFuse({ fuseFd, source: 'other', target, flags: 0, options: [] }), undefined)
    if (mountTable().find((mount) => mount.target === target)?.minor === wanted) return fuseFd
  }
  return assert.fail(`the kernel gave the number ${wanted} to none of 20 mounts`)
}

test('--force never ends the connection of another mount that has the number now', options, async (t) => {
  const { pool, mountPoint, keeperPid } = await mountTestPool(t)
  fs.writeFileSync(`${mountPoint}/file`, 'kept')
  const { connection } = poolRecord(pool)
  const keeper = keeperPid()
  beforeUnmount(t, () => process.kill(keeper, 'SIGCONT'))
  process.kill(keeper, 'SIGSTOP')
  // The keeper, which does not run, has the descriptor of a connection that the kernel has ended.
  assert.equal(unmount(mountPoint, { lazy: false }), undefined)
  const other = connectionNumbered(t, connection ?? -1)
  const forced = guestmemfs('umount', '--force', pool)
  await Promise.race([forced, sleep(2000)])
  assert.equal(hasHungUp(other), false, 'the other mount is as it was')
  process.kill(keeper, 'SIGCONT')
  const { status, stderr, stdout } = await forced
  assert.equal(status, 0, stderr)
  assert.match(stdout, /parked/)
  assert.equal(hasHungUp(other), false, 'the other mount is as it was')
})

test('umount -f, and --force where it is mounted, park the pool under its guests', options, async (t) => {
  const all = await guests(t)
  const { pool, mountPoint } = all.pool
  const busy = await guestmemfs('umount', pool)
  assert.match(busy.stderr, /is busy: .*--force/)
  const forced = await guestmemfs('umount', '--force', pool)
  assert.equal(forced.status, 0, forced.stderr)
  await everythingIsBack(t, all)
  await runProgram('umount', ['-f', mountPoint])
  await until('it is parked', () => poolRecord(pool).state === 'parked')
  const again = await guestmemfs('mount', pool, mountPoint)
  assert.equal(again.status, 0, again.stderr)
  assert.equal(fs.readFileSync(`${mountPoint}/file`, 'utf8'), 'kept')
})
