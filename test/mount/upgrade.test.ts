/**
 * `guestmemfs upgrade` on a pool that the oldest readable tree made: before it that tree can serve the pool
 * again, after it it cannot; and a refused upgrade changes nothing.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { processStartTime } from '../../src/linux/process.ts'
import { getxattr } from '../../src/linux/xattr.ts'
import { tellTree } from '../kept/tell-tree.ts'
import { Mapper } from './mapper.ts'
import { cannotRunOlder, mountOlderPool } from './older.ts'
import {
  asStranger,
  assertClean,
  beforeUnmount,
  cannotMount,
  guestmemfs,
  kill,
  mountTestPool,
  type Outcome,
  printed,
  runInTree,
  type TestPool,
  until,
} from './support.ts'

const MIB = 1024 * 1024
const options = { skip: cannotRunOlder, timeout: 180_000 }

const formatOf = ({ mountPoint }: TestPool): number =>
  JSON.parse(Buffer.from(getxattr(mountPoint, 'guestmemfs.format') as Uint8Array).toString()).version

function assertRefused({ status, stdout, stderr }: Outcome, why: RegExp): void {
  assert.deepEqual([status, stdout], [1, ''])
  assert.match(stderr, /^guestmemfs: [^\n]+\n$/)
  assert.match(stderr, why)
}

function assertDone(outcome: Outcome): void {
  assert.deepEqual([outcome.stderr, outcome.status], ['', 0])
}

/** Kills the server and waits until the record names the next one: the oldest tree reads only the record. */
async function anotherServer(pool: TestPool): Promise<void> {
  const before = pool.serverPid()
  await kill(before)
  await until('another server', () => pool.serverPid() !== before, 30_000)
}

async function populate(t: TestContext, { path }: TestPool): Promise<() => Promise<void>> {
  const mapper = await Mapper.start(t, path('ram'), 8 * MIB, { create: true })
  await mapper.fill(0, 8 * MIB, 7)
  await mapper.store(5 * MIB, 55)
  fs.writeFileSync(path('text'), 'written first')
  const fd = fs.openSync(path('text'), 'r')
  beforeUnmount(t, () => fs.closeSync(fd))
  return async () => {
    assert.deepEqual([await mapper.load(0), await mapper.load(5 * MIB)], [7, 55])
    const bytes = Buffer.alloc(13)
    fs.readSync(fd, bytes, 0, 13, 0)
    assert.equal(bytes.toString(), 'written first')
  }
}

test(
  'over to today, back, over again and upgraded: no way back then, and no byte lost',
  options,
  async (t) => {
    const { pool, older } = await mountOlderPool(t)
    const isWhole = await populate(t, pool)
    const mountBy = async (how: 'today' | 'older'): Promise<Outcome> => {
      await kill(pool.keeperPid())
      return how === 'today'
        ? await guestmemfs('mount', pool.pool, pool.mountPoint)
        : await older.run('mount', pool.pool, pool.mountPoint)
    }
    const write = (name: string) => fs.writeFileSync(pool.path(name), name)

    assertRefused(
      await guestmemfs('upgrade', pool.pool),
      /is served by an older guestmemfs, which writes image format 1: 'kill -KILL \d+' ends its keeper, .*'guestmemfs mount \S+ \S+' takes it over, then upgrade it$/m,
    )
    for (const how of ['today', 'older', 'today', 'older', 'today'] as const) {
      assertDone(await mountBy(how))
      await isWhole()
      write(`by ${how}`)
      await anotherServer(pool)
      await isWhole()
      write(`by another server of ${how}`)
    }
    assert.equal(formatOf(pool), 1)

    const told = tellTree(pool.mountPoint)
    const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
    const upgraded = await guestmemfs('upgrade', pool.pool)
    assertDone(upgraded)
    assert.equal(upgraded.stdout, `${pool.pool} on ${pool.mountPoint}: image format 1 → 2\n`)
    assert.equal(formatOf(pool), 2)
    assert.deepEqual([pool.keeperPid(), pool.serverPid()], [keeper, server])
    assert.deepEqual(tellTree(pool.mountPoint), told)
    await isWhole()
    assert.deepEqual((await printed('upgrade', pool.mountPoint)).image, { before: 2, after: 2 })

    // The older tree refuses in one line, and the present server goes on serving.
    assertRefused(await mountBy('older'), /version 2/)
    assert.notEqual(processStartTime(server), undefined)
    await isWhole()
    assert.deepEqual(tellTree(pool.mountPoint), told)
    await guestmemfs('mount', pool.pool, pool.mountPoint).then(assertDone)
    write('by today, upgraded')
    await anotherServer(pool)
    await isWhole()
    await assertClean(pool.pool)
  },
)

test('what it refuses stays as it is', options, async (t) => {
  const { pool } = await mountOlderPool(t)
  await kill(pool.keeperPid())
  assertDone(await guestmemfs('mount', pool.pool, pool.mountPoint))
  fs.writeFileSync(pool.path('text'), 'kept')
  const upgrade = () => guestmemfs('upgrade', pool.pool)

  assertDone(await guestmemfs('freeze', pool.pool))
  assertRefused(await upgrade(), /is frozen or being handed over: 'guestmemfs thaw \S+', then again$/m)
  assert.equal(formatOf(pool), 1)
  assertDone(await guestmemfs('thaw', pool.pool))
  assertRefused(
    await runInTree(
      'setpriv',
      [...asStranger(), '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'],
      ['upgrade', pool.pool],
    ),
    /needs root/,
  )
  assert.equal(formatOf(pool), 1)

  assertDone(await guestmemfs('umount', pool.pool))
  assertRefused(await upgrade(), /is parked: mount it, then upgrade it/)
  assertDone(await guestmemfs('mount', pool.pool, pool.mountPoint))
  assert.equal(formatOf(pool), 1)
  assertDone(await upgrade())
  assertDone(await guestmemfs('umount', pool.pool))
  assertDone(await guestmemfs('mount', pool.pool, pool.mountPoint))
  assert.equal(formatOf(pool), 2)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
  assertRefused(await guestmemfs('upgrade', 'no-such-pool'), /is not a mounted pool/)
})

test('a pool that today made has the newest format already', { skip: cannotMount }, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  assert.match((await guestmemfs('upgrade', pool.pool)).stdout, /: image format 2 already\n$/)
})
