/**
 * Keeper and server have both been killed, and no other process holds the pool's memory: `mount`, `list` and
 * `umount` say so, whatever is left of the record, and no command puts an empty pool in its place without a
 * message.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { mountTable } from '../../src/linux/mounts.ts'
import { DAMAGES, listed, stage, succeeded } from './damaged-record.ts'
import { cannotMount, guestmemfs, kill, mountTestPool, poolRecord, shell, testMountPoint } from './support.ts'

const options = { skip: cannotMount, timeout: 120_000 }

test(
  'keeper and server are dead and nothing holds the memory: mount says so, status 1',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '64M' })
    fs.writeFileSync(pool.path('text'), 'lost')
    const { keeper, server } = poolRecord(pool.pool)
    await kill(keeper.pid)
    await kill(server?.pid ?? 0)
    const refused = await guestmemfs('mount', pool.pool, pool.mountPoint)
    assert.deepEqual([refused.status, refused.stdout], [1, ''])
    assert.match(
      refused.stderr,
      /^guestmemfs: the keeper and the server of pool '\S+' have died.*lost.*--discard.*-o new'\n$/,
    )
    assert.equal((await listed(pool.pool))?.state, 'lost', 'the record stays for the one who reads it')
    const anew = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'new,size=32M')
    succeeded(anew)
    assert.match(
      anew.stdout,
      /32M \(new pool: the processes of the former one had died, and its memory with them\)\n$/,
    )
  },
)

for (const [damage, work] of Object.entries(DAMAGES).filter(([damage]) => !damage.includes('region')))
  test(`the record ${damage}, both are dead: no empty pool in silence, and a way on`, options, async (t) => {
    const { pool, keeper, server, mapper } = await stage(t, work)
    await mapper.end()
    await kill(keeper)
    await kill(server)
    const dead = (target: string) =>
      mountTable().some((mount) => mount.source === pool.pool && mount.target === target)
    for (const place of [pool.mountPoint, testMountPoint(t)]) {
      const refused = await guestmemfs('mount', pool.pool, place)
      assert.deepEqual([refused.status, refused.stdout], [1, ''])
      assert.match(
        refused.stderr,
        /^guestmemfs: the keeper and the server of pool '\S+' have died.*lost.*\n$/,
      )
      assert.equal(dead(place), place === pool.mountPoint)
    }
    assert.match(String((await listed(pool.pool))?.state), /^(lost|unreadable)$/)
    const cleared = await guestmemfs('umount', '--discard', pool.pool)
    succeeded(cleared)
    assert.match(cleared.stdout, /its processes had died, and its memory with them/)
    assert.equal(dead(pool.mountPoint), false)
    assert.equal(await listed(pool.pool), undefined)
    const anew = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'size=32M')
    succeeded(anew)
    assert.match(anew.stdout, /32M \(new pool\)/)
  })

test(
  'the record is missing, both are dead: -o new makes a pool in the place of the dead mount',
  options,
  async (t) => {
    const { pool, keeper, server, mapper } = await stage(t, (file) => fs.rmSync(file))
    await mapper.end()
    await kill(keeper)
    await kill(server)
    const anew = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'new,size=32M')
    succeeded(anew)
    assert.match(anew.stdout, /32M \(new pool: the processes of the former one had died/)
    assert.deepEqual(fs.readdirSync(pool.mountPoint), [])
  },
)

test('a lost pool whose mount point is gone can be discarded', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('text'), 'lost')
  const { keeper, server } = poolRecord(pool.pool)
  await kill(keeper.pid)
  await kill(server?.pid ?? 0)
  shell(`umount -l '${pool.mountPoint}'`)
  fs.rmdirSync(pool.mountPoint)
  t.after(() => fs.existsSync(pool.mountPoint) || fs.mkdirSync(pool.mountPoint))
  const discarded = await guestmemfs('umount', '--discard', pool.pool)
  fs.mkdirSync(pool.mountPoint)
  succeeded(discarded)
  assert.equal(await listed(pool.pool), undefined)
  assert.equal(
    mountTable().some(({ target }) => target === pool.mountPoint),
    false,
  )
})
