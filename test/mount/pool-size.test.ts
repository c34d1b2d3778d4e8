/**
 * Tests that a mounted pool of memfds grows, and shrinks to what is in use: at once for callers of statfs(2)
 * and of writes, and for successors of its processes.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { processStartTime } from '../../src/linux/process.ts'
import { getxattr, setxattr } from '../../src/linux/xattr.ts'
import { POOLS } from '../../src/run/paths.ts'
import { Mapper } from './mapper.ts'
import { answerTo } from './refused.ts'
import {
  assertClean,
  beforeUnmount,
  cannotMount,
  guestmemfs,
  guestmemfsAsStranger,
  mountTestPool,
  poolRecord,
  printed,
  shell,
  type TestPool,
  until,
} from './support.ts'

const options = { skip: cannotMount, timeout: 120_000 }
const LOAD = fileURLToPath(new URL('metadata-load.ts', import.meta.url))
const MIB = 2 ** 20

const resize = ({ pool, mountPoint }: TestPool, size: string) =>
  guestmemfs('mount', pool, mountPoint, '-o', `remount,size=${size}`)

async function resizes(pool: TestPool, size: string): Promise<void> {
  assert.deepEqual(await resize(pool, size), { status: 0, stdout: '', stderr: '' }, size)
}

/** The size by statfs(2) and by commands, in MiB. */
async function sizes({ pool, mountPoint }: TestPool): Promise<unknown> {
  const { bsize, blocks } = fs.statfsSync(mountPoint)
  const status = await printed('status', pool)
  const { pools } = await printed('list')
  return {
    statfs: (bsize * blocks) / MIB,
    df: Number(shell(`df -m --output=size ${mountPoint} | tail -1`)),
    status: status.geometry.totalBytes / MIB,
    list: (pools.find((each) => each.pool === pool)?.sizeBytes ?? 0) / MIB,
  }
}

const all = (size: number) => ({ statfs: size, df: size, status: size, list: size })

test('a mounted pool grows and shrinks, and every command shows its size', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('small'), 'small')
  const tooLarge = () => answerTo(() => fs.truncateSync(pool.path('ram'), 100 * MIB))
  fs.writeFileSync(pool.path('ram'), '')
  assert.equal(tooLarge(), 'ENOSPC')
  await resizes(pool, '128M')
  assert.deepEqual(await sizes(pool), all(128))
  assert.equal(tooLarge(), 'ok')

  const mapper = await Mapper.start(t, pool.path('ram'), 100 * MIB)
  await mapper.fill(0, 100 * MIB, 7)
  const { status, stderr } = await resize(pool, '100M')
  assert.deepEqual(
    [status, stderr],
    [1, `guestmemfs: pool '${pool.pool}' cannot have 100M: 102M is the least, for so much is in use\n`],
  )
  await resizes(pool, '102M')
  assert.deepEqual(await sizes(pool), all(102))
  assert.equal(fs.statfsSync(pool.mountPoint).bfree, 0)
  assert.equal(
    answerTo(() => fs.writeFileSync(pool.path('more'), 'more')),
    'ENOSPC',
  )
  fs.rmSync(pool.path('more'))
  assert.equal(
    (await guestmemfsAsStranger('mount', pool.pool, pool.mountPoint, '-o', 'remount,size=1G')).status,
    1,
  )

  await t.test('a server that is killed, a keeper that is killed, a parked pool', async () => {
    const server = pool.serverPid()
    process.kill(server, 'SIGKILL')
    await until('another server', () => pool.serverPid() !== server)
    assert.deepEqual(await sizes(pool), all(102))
    const keeper = pool.keeperPid()
    process.kill(keeper, 'SIGKILL')
    await until('it ends', () => processStartTime(keeper) === undefined)
    await resizesWithoutKeeper(pool)
    // The record has the size that the keeper knew; the server has changed it since.
    const mounted = await guestmemfs('mount', pool.pool, pool.mountPoint)
    assert.equal(mounted.status, 0, mounted.stderr)
    assert.deepEqual(await sizes(pool), all(110))
    assert.equal(await mapper.load(99 * MIB), 7)
  })
  await mapper.end()
  assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
  assert.equal(poolRecord(pool.pool).sizeBytes, 110 * MIB)
  const again = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'size=110M')
  assert.equal(again.status, 0, again.stderr)
  assert.deepEqual(await sizes(pool), all(110))

  await t.test('without a record it is found with the size that it has', async () => {
    const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
    fs.rmSync(join(POOLS, `${pool.pool}.json`))
    const { pools } = await printed('list')
    assert.equal(pools.find((each) => each.pool === pool.pool)?.sizeBytes, 110 * MIB)
    process.kill(keeper, 'SIGKILL')
    await until('it ends', () => processStartTime(keeper) === undefined)
    const mounted = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'size=110M')
    assert.equal(mounted.status, 0, mounted.stderr)
    assert.notEqual(pool.serverPid(), server)
    assert.deepEqual(await sizes(pool), all(110))
  })
  assert.equal(fs.readFileSync(pool.path('small'), 'utf8'), 'small')
  await assertClean(pool.pool)
})

/** A server without a keeper changes it as well, and no process writes that to the record. */
async function resizesWithoutKeeper({ mountPoint }: TestPool): Promise<void> {
  assert.equal(setxattr(mountPoint, 'trusted.guestmemfs.size', Buffer.from(`${110 * MIB}`)), undefined)
  assert.equal(fs.statfsSync(mountPoint).blocks, 55)
}

test('a frozen pool and a read-only mount refuse with the reason', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  await guestmemfs('freeze', pool.pool)
  assert.match((await resize(pool, '128M')).stderr, /is frozen: 'guestmemfs thaw/)
  await guestmemfs('thaw', pool.pool)
  assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'remount,ro')).status, 0)
  assert.match((await resize(pool, '128M')).stderr, /is mounted read-only: 'mount -o remount,rw/)
  assert.deepEqual(await sizes(pool), all(64))
  assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'remount,rw')).status, 0)
  await resizes(pool, '128M')
})

/** A process that works on `directory` and keeps a model of it (metadata-load.ts). */
function load(t: TestContext, directory: string, seed: number): { end: () => Promise<void> } {
  fs.mkdirSync(directory)
  const child: ChildProcess = spawn(process.execPath, [LOAD, directory, String(seed), '8'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  beforeUnmount(t, async () => {
    child.kill('SIGKILL')
    await ended
  })
  const output = child.stdout === null ? Promise.resolve('') : text(child.stdout)
  return {
    end: async () => {
      child.stdin?.end()
      const [status] = await ended
      assert.equal(status, 0, `the load with seed ${seed} saw something wrong: ${await output}`)
    },
  }
}

test('the size goes up and down under load and guests, and servers die', options, async (t) => {
  const pool = await mountTestPool(t, { size: '256M' })
  fs.writeFileSync(pool.path('ram'), '')
  fs.truncateSync(pool.path('ram'), 64 * MIB)
  const mapper = await Mapper.start(t, pool.path('ram'), 64 * MIB)
  await mapper.fill(0, 64 * MIB, 9)
  const seed = Date.now() & 0x7fffffff
  t.diagnostic(`seeds from ${seed}`)
  const loads = [0, 1, 2, 3].map((index) => load(t, pool.path(`load-${index}`), seed + index))
  for (let round = 0; round < 12; round++) {
    await resizes(pool, `${512 + round * 32}M`)
    if (round % 3 === 1) process.kill(pool.serverPid(), 'SIGKILL')
    // Enough for the loads: their model has no full pool.
    await resizes(pool, '240M')
    await sleep(50)
    assert.equal(await mapper.load(round * MIB), 9)
  }
  for (const { end } of loads) await end()
  assert.deepEqual(await sizes(pool), all(240))
  const said = getxattr(pool.mountPoint, 'guestmemfs.size')
  assert.ok(said instanceof Uint8Array)
  const { leastBytes } = JSON.parse(Buffer.from(said).toString())
  await resizes(pool, String(leastBytes))
  assert.equal(fs.statfsSync(pool.mountPoint).bfree, 0)
  assert.equal(await mapper.load(63 * MIB), 9)
  await assertClean(pool.pool)
})
