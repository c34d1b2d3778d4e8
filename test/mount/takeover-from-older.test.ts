/**
 * Takeover from processes of the oldest readable tree: today's program understands their records and
 * messages, takes their pool over from running and from dead ones, and programs on the mount notice nothing.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { processStartTime } from '../../src/linux/process.ts'
import { getxattr, setxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import { type TreeTold, tellTree } from '../kept/tell-tree.ts'
import { Mapper } from './mapper.ts'
import { cannotRunOlder, mountOlderPool } from './older.ts'
import { answerTo } from './refused.ts'
import {
  assertClean,
  beforeUnmount,
  freeBlocks,
  guestmemfs,
  kill,
  printed,
  type TestPool,
  until,
} from './support.ts'

const MIB = 1024 * 1024
const options = { skip: cannotRunOlder, timeout: 120_000 }
const VM_RECORD = JSON.stringify({ format: 1, name: 'guest' })
const TEXT = 'written before'
/** Neither a whole page nor a whole block. */
const BYTES = Buffer.from(Array.from({ length: 3 * MIB + 17 }, (_, at) => (at * 31) % 251))

interface Population {
  readonly mapper: Mapper
  /** Open on `text`, and on a file without a name. */
  readonly fds: readonly [number, number]
  readonly close: (...which: readonly number[]) => void
}

/** One of each kind of file of a pool, two open files, and a mapping, which outlast their server. */
async function populate(t: TestContext, { path }: TestPool): Promise<Population> {
  fs.writeFileSync(path('text'), TEXT)
  fs.writeFileSync(path('bytes'), BYTES)
  fs.mkdirSync(path('folder', 'inner'), { recursive: true, mode: 0o750 })
  fs.linkSync(path('text'), path('folder', 'again'))
  fs.symlinkSync('../text', path('folder', 'link'))
  fs.chownSync(path('folder', 'inner'), 1234, 5678)
  fs.chmodSync(path('bytes'), 0o4640)
  fs.utimesSync(path('bytes'), 981_173_106, 981_173_106)
  assert.equal(setxattr(path('text'), 'user.note', Buffer.from('of today')), undefined)
  assert.equal(setxattr(path('folder'), 'trusted.secret', Buffer.from([0, 255, 0])), undefined)
  const mapper = await Mapper.start(t, path('ram'), 8 * MIB, { create: true })
  await mapper.fill(0, 8 * MIB, 7)
  await mapper.store(5 * MIB, 55)
  assert.equal(setxattr(path('ram'), 'trusted.guestmemfs.vm', Buffer.from(VM_RECORD)), undefined)
  fs.writeFileSync(path('nameless'), 'still open')
  const fds = [fs.openSync(path('text'), 'r+'), fs.openSync(path('nameless'), 'r')] as const
  const open = new Set<number>(fds)
  const close = (...which: readonly number[]): void => {
    for (const fd of which) if (open.delete(fd)) fs.closeSync(fd)
  }
  beforeUnmount(t, () => close(...fds))
  fs.unlinkSync(path('nameless'))
  return { mapper, fds, close }
}

function read(fd: number): string {
  const bytes = Buffer.alloc(64)
  return bytes.subarray(0, fs.readSync(fd, bytes, 0, bytes.length, 0)).toString()
}

async function assertWhole(pool: TestPool, told: TreeTold, { mapper, fds }: Population): Promise<void> {
  assert.deepEqual(tellTree(pool.mountPoint), told)
  assert.deepEqual(fs.readFileSync(pool.path('bytes')), BYTES)
  assert.deepEqual(fds.map(read), [TEXT, 'still open'])
  assert.deepEqual(
    [await mapper.load(0), await mapper.load(5 * MIB), await mapper.load(8 * MIB - 1)],
    [7, 55, 7],
  )
}

/** The values of the mount's virtual xattrs, but for those that differ from one server to the next. */
function virtualValues({ path, mountPoint }: TestPool): Record<string, unknown> {
  const value = (of: string, name: string): unknown => {
    const bytes = getxattr(of, `guestmemfs.${name}`)
    if (bytes instanceof Errno) return bytes.name
    const text = Buffer.from(bytes).toString()
    return name === 'kind' ? text : JSON.parse(text)
  }
  const root = ['pool', 'geometry', 'health', 'handover', 'orphans', 'vms', 'ram'].map((name) => [
    name,
    value(mountPoint, name),
  ])
  const files = ['map', 'kind', 'extents'].map((name) => [`${name} of ram`, value(path('ram'), name)])
  return {
    ...Object.fromEntries([...root, ...files]),
    server: Object.keys(value(mountPoint, 'server') as object),
  }
}

test(
  'its keeper killed, guests mapping: today’s keeper takes over live, and no program notices',
  options,
  async (t) => {
    const { pool } = await mountOlderPool(t)
    const population = await populate(t, pool)
    const told = tellTree(pool.mountPoint)
    const values = virtualValues(pool)
    const [keeper, server] = [pool.keeperPid(), pool.serverPid()]

    await t.test("today's commands read their records and xattrs", async () => {
      const listed = (await printed('list')).pools.find((each) => each.pool === pool.pool)
      assert.deepEqual(
        [listed?.state, listed?.keeperPid, listed?.serverPid, listed?.mountPoint],
        ['mounted', keeper, server, pool.mountPoint],
      )
      const status = await printed('status', pool.pool)
      assert.deepEqual(
        [status.server.pid, status.identity.name, status.health.orphans],
        [server, pool.pool, 1],
      )
      await assertClean(pool.pool)
      assert.equal((await guestmemfs('freeze', pool.pool)).status, 0)
      assert.equal(
        answerTo(() => fs.writeFileSync(pool.path('late'), '')),
        'EBUSY',
      )
      assert.equal((await guestmemfs('thaw', pool.pool)).status, 0)
    })

    await kill(keeper)
    const adopted = await guestmemfs('mount', pool.pool, pool.mountPoint)
    assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
    assert.match(adopted.stdout, /its keeper had died: a new one took over\)\n$/)
    assert.deepEqual([processStartTime(server), pool.keeperPid() === keeper], [undefined, false])
    await assertWhole(pool, told, population)
    assert.deepEqual(virtualValues(pool), values)
    await assertClean(pool.pool)
    await goesOn(t, pool, population)
  },
)

/**
 * Makes files, writes to old ones, changes sizes, replaces the server; then unmounts, mounts, and finds all
 * of it.
 */
async function goesOn(t: TestContext, pool: TestPool, { mapper, fds, close }: Population): Promise<void> {
  const { path } = pool
  fs.writeFileSync(path('new'), 'written after')
  fs.writeSync(fds[0], 'AFTER', 8)
  fs.renameSync(path('folder', 'inner'), path('inner'))
  fs.truncateSync(path('ram'), 16 * MIB)
  await mapper.store(1, 11)
  const second = await Mapper.start(t, path('ram'), 16 * MIB)
  assert.deepEqual(
    [await second.load(1), await second.load(5 * MIB), await second.load(9 * MIB)],
    [11, 55, 0],
  )
  await kill(pool.serverPid())
  assert.deepEqual([fs.readFileSync(path('new'), 'utf8'), read(fds[0])], ['written after', 'written AFTERe'])
  assert.equal(await mapper.load(1), 11)
  await Promise.all([mapper.end(), second.end()])
  close(fds[1])
  const told = tellTree(pool.mountPoint)
  close(fds[0])

  assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
  assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint)).status, 0)
  assert.deepEqual(tellTree(pool.mountPoint), told)
  fs.unlinkSync(path('ram'))
  await until('four blocks are left to the ordinary files', () => freeBlocks(pool.mountPoint) === 32 - 4)
  await assertClean(pool.pool)
}

/** Where the kernel has no orchestrator, the keeper's LUO thread reports that, and the pool is as it was. */
async function handsOver({ pool, mountPoint }: TestPool): Promise<void> {
  const { status, stderr } = await guestmemfs('handover', pool)
  if (status !== 0)
    assert.match(stderr, /^guestmemfs: handing over pool '\S+' failed: there is no \/dev\/liveupdate/)
  assert.equal((await guestmemfs('thaw', pool)).status, 0)
  const isOver = () =>
    (
      JSON.parse(Buffer.from(getxattr(mountPoint, 'guestmemfs.handover') as Uint8Array).toString()) as {
        state: string
      }
    ).state === 'idle'
  await until('nothing is handed over', isOver)
}

test('the package upgraded underneath: its keeper starts a server of today', options, async (t) => {
  const { pool, older } = await mountOlderPool(t)
  const population = await populate(t, pool)
  const told = tellTree(pool.mountPoint)
  const values = virtualValues(pool)
  older.upgrade()
  const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
  await kill(server)
  await assertWhole(pool, told, population)
  assert.deepEqual([pool.keeperPid() === keeper, pool.serverPid() === server], [true, false])
  assert.deepEqual(virtualValues(pool), values)
  await handsOver(pool)
  assert.equal(pool.keeperPid(), keeper)
  // That keeper holds the memory that this server makes.
  fs.writeFileSync(pool.path('between'), 'kept by the former')

  await kill(keeper)
  const adopted = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
  assert.equal(fs.readFileSync(pool.path('between'), 'utf8'), 'kept by the former')
  fs.unlinkSync(pool.path('between'))
  await goesOn(t, pool, population)
})

test('parked by its keeper, frozen: today mounts it as it was', options, async (t) => {
  const { pool, older } = await mountOlderPool(t)
  const { mapper, fds, close } = await populate(t, pool)
  await mapper.end()
  close(...fds)
  const told = tellTree(pool.mountPoint)
  assert.equal((await older.run('freeze', pool.pool)).status, 0)
  assert.equal((await older.run('umount', pool.pool)).status, 0)
  assert.match((await guestmemfs('list')).stdout, new RegExp(`^${pool.pool} +parked `, 'm'))
  await assertClean(pool.pool)

  const found = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([found.stderr, found.status], ['', 0])
  assert.equal(
    answerTo(() => fs.writeFileSync(pool.path('late'), '')),
    'EBUSY',
    'it is frozen still',
  )
  assert.equal((await guestmemfs('thaw', pool.pool)).status, 0)
  assert.deepEqual(tellTree(pool.mountPoint), told)
  const again = await Mapper.start(t, pool.path('ram'), 8 * MIB)
  assert.deepEqual([await again.load(0), await again.load(5 * MIB)], [7, 55])
  fs.writeFileSync(pool.path('new'), 'written after')
  await again.end()
  await assertClean(pool.pool)
})
