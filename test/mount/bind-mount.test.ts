/**
 * Bind mounts of a pool: `umount` of one leaves the pool as it is, and one that outlives the pool's processes
 * can be taken off.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { mountTable, unmount } from '../../src/linux/mounts.ts'
import { DAMAGES, listed, recordFile, succeeded } from './damaged-record.ts'
import {
  beforeUnmount,
  cannotMount,
  guestmemfs,
  kill,
  mountTestPool,
  poolRecord,
  shell,
  type TestPool,
  testMountPoint,
} from './support.ts'

const options = { skip: cannotMount, timeout: 90_000 }
const isMounted = (place: string): boolean => mountTable().some(({ target }) => target === place)

async function boundPool(
  t: TestContext,
): Promise<{ pool: TestPool; bound: string; bind: (from: string) => void }> {
  const pool = await mountTestPool(t, { size: '32M' })
  fs.mkdirSync(pool.path('dir'))
  fs.writeFileSync(pool.path('dir', 'text'), 'kept')
  const bound = testMountPoint(t)
  beforeUnmount(t, () => unmount(bound, { lazy: true }))
  // The command finds the pool at the end, also where it has no record.
  beforeUnmount(t, () => guestmemfs('umount', '--discard', pool.pool))
  return { pool, bound, bind: (from) => void shell(`mount --bind '${from}' '${bound}'`) }
}

for (const [part, names] of [
  ['the root', []],
  ['a directory', ['dir']],
] as const)
  test(`umount of a bind mount of ${part} is refused, and the pool serves on`, options, async (t) => {
    const { pool, bound, bind } = await boundPool(t)
    bind(pool.path(...names))
    const record = fs.readFileSync(recordFile(pool.pool), 'utf8')
    for (const more of [[], ['--discard'], ['--force', '--discard']]) {
      const refused = await guestmemfs('umount', bound, ...more)
      assert.deepEqual(
        [refused.status, refused.stdout, refused.stderr],
        [
          1,
          '',
          `guestmemfs: pool '${pool.pool}' is mounted on ${pool.mountPoint}; take ${bound} off with umount(8)\n`,
        ],
      )
      assert.equal(fs.readFileSync(recordFile(pool.pool), 'utf8'), record)
      assert.deepEqual([isMounted(bound), isMounted(pool.mountPoint)], [true, true])
    }
    assert.equal(fs.readFileSync(pool.path('dir', 'text'), 'utf8'), 'kept')
    DAMAGES['is missing']?.(recordFile(pool.pool), '')
    const unrecorded = await guestmemfs('umount', bound)
    assert.deepEqual([unrecorded.status, isMounted(bound)], [1, true])
    assert.match(
      unrecorded.stderr,
      /^guestmemfs: pool '\S+' is mounted on \S+; take \S+ off with umount\(8\)\n$/,
    )
    unmount(bound, { lazy: false })
    succeeded(await guestmemfs('umount', '--discard', pool.pool))
  })

test('both are dead: umount of the bind mount does not take the record away', options, async (t) => {
  const { pool, bound, bind } = await boundPool(t)
  bind(pool.mountPoint)
  const { keeper, server } = poolRecord(pool.pool)
  await kill(keeper.pid)
  await kill(server?.pid ?? 0)
  const refused = await guestmemfs('umount', bound)
  assert.deepEqual([refused.status, isMounted(bound)], [1, true])
  assert.match(refused.stderr, /^guestmemfs: pool '\S+' was mounted on \S+; take \S+ off with umount\(8\)\n$/)
  assert.equal(poolRecord(pool.pool).keeper.pid, keeper.pid)
})

test('a bind mount that outlives its pool is taken off, and that one alone', options, async (t) => {
  const { pool, bound, bind } = await boundPool(t)
  bind(pool.mountPoint)
  const further = testMountPoint(t)
  shell(`mount --bind '${bound}' '${further}'`)
  succeeded(await guestmemfs('umount', '--force', '--discard', pool.pool))
  // The mount of a pool whose processes have died looks the same.
  assert.equal((await listed(pool.pool))?.state, 'lost')
  assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint)).status, 1)
  const cleared = await guestmemfs('umount', bound)
  succeeded(cleared)
  assert.deepEqual([isMounted(bound), isMounted(further)], [false, true])
  succeeded(await guestmemfs('umount', further))
  const anew = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'size=32M')
  succeeded(anew)
  assert.match(anew.stdout, /32M \(new pool\)/)
})
