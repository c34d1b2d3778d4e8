/**
 * Tests that memory in use is never reused: an unlinked file keeps its blocks and its bytes while a process
 * holds it, by a descriptor or by a mapping alone, whatever happens to the server and the mount meanwhile.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { abortFuseConnection, mountTable } from '../../src/linux/mounts.ts'
import { getxattr } from '../../src/linux/xattr.ts'
import { Mapper } from './mapper.ts'
import { cannotMount, freeBlocks, guestmemfs, mountTestPool, poolRecord, shell, until } from './support.ts'

const MIB = 1024 * 1024
const DEATH = fileURLToPath(new URL('die-at-forget.ts', import.meta.url))
const options = { skip: cannotMount, timeout: 60_000 }

const virtual = <Value>(path: string, name: string): Value =>
  JSON.parse(Buffer.from(getxattr(path, `guestmemfs.${name}`) as Uint8Array).toString())
const extentsOf = (path: string): { poolOffsetBytes: number; lengthBytes: number }[] =>
  virtual(path, 'extents')
const orphansOf = (mountPoint: string): number => virtual<unknown[]>(mountPoint, 'orphans').length

const blocksOf = (path: string): Set<number> =>
  new Set(
    extentsOf(path).flatMap(({ poolOffsetBytes, lengthBytes }) =>
      Array.from({ length: lengthBytes / (2 * MIB) }, (_, index) => poolOffsetBytes / (2 * MIB) + index),
    ),
  )

function makeRam(path: string, bytes: number): void {
  fs.writeFileSync(path, '')
  fs.truncateSync(path, bytes)
}

test('a file unlinked while it is open stays whole until it is closed', options, async (t) => {
  const { path, mountPoint } = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(path('file'), 'still here'.padEnd(5 * MIB, '.'))
  const fd = fs.openSync(path('file'), 'r+')
  fs.unlinkSync(path('file'))
  assert.equal(fs.existsSync(path('file')), false)
  assert.deepEqual([freeBlocks(mountPoint), orphansOf(mountPoint)], [32 - 3, 1])
  const start = Buffer.alloc(10)
  fs.readSync(fd, start, 0, 10, 0)
  assert.equal(start.toString(), 'still here')
  fs.ftruncateSync(fd, 9 * MIB)
  fs.writeSync(fd, 'written', 8 * MIB)
  fs.writeFileSync(path('file'), 'another of the same name')
  assert.deepEqual([fs.fstatSync(fd).size, fs.fstatSync(fd).nlink], [9 * MIB, 0])
  assert.equal(freeBlocks(mountPoint), 32 - 5 - 1)
  fs.closeSync(fd)
  await until('its blocks are back', () => freeBlocks(mountPoint) === 31)
  assert.equal(orphansOf(mountPoint), 0)
})

test(
  'memory that is only mapped: across servers, a broken connection and a new mount',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '64M' })
    const { path, mountPoint } = pool
    makeRam(path('ram'), 16 * MIB)
    const mapper = await Mapper.start(t, path('ram'), 16 * MIB)
    await mapper.fill(0, 16 * MIB, 0xa5)
    await mapper.closeFile()
    const held = blocksOf(path('ram'))
    fs.unlinkSync(path('ram'))
    const isWhole = async (): Promise<boolean> =>
      (await Promise.all([0, 5 * MIB, 16 * MIB - 1].map((offset) => mapper.load(offset)))).every(
        (byte) => byte === 0xa5,
      )
    /** Other files take the rest of the pool: none of them gets a held block, and no block is left over. */
    const othersGetTheRest = async (name: string): Promise<void> => {
      assert.deepEqual([freeBlocks(mountPoint), orphansOf(mountPoint)], [24, 1], name)
      makeRam(path(name), 48 * MIB)
      assert.equal(freeBlocks(mountPoint), 0, name)
      assert.deepEqual(
        [...blocksOf(path(name))].filter((block) => held.has(block)),
        [],
        name,
      )
      const other = await Mapper.start(t, path(name), 48 * MIB)
      await other.fill(0, 48 * MIB, 0x11)
      await other.end()
      assert.ok(await isWhole(), name)
      fs.unlinkSync(path(name))
      await until('the others’ blocks are back', () => freeBlocks(mountPoint) === 24)
    }

    await othersGetTheRest('at once')
    process.kill(pool.serverPid(), 'SIGKILL')
    await othersGetTheRest('after the server was killed')

    // A mapping keeps a mount busy. When the connection is aborted all the same, only the mapping holds the
    // file.
    assert.match((await guestmemfs('umount', mountPoint)).stderr, /busy/)
    const minor = mountTable().find((mount) => mount.target === mountPoint)?.minor ?? -1
    assert.equal(abortFuseConnection(minor), undefined)
    await until('the pool is parked', () => poolRecord(pool.pool).state === 'parked')
    assert.ok(await isWhole())
    assert.equal((await guestmemfs('mount', pool.pool, mountPoint)).status, 0)
    await othersGetTheRest('after the mount was made again')
    process.kill(pool.serverPid(), 'SIGKILL')
    await othersGetTheRest('after that server was killed as well')

    assert.equal(await mapper.end(), '0')
    await until('all blocks are back', () => freeBlocks(mountPoint) === 32)
    assert.equal(orphansOf(mountPoint), 0)
  },
)

test('a pool of nothing but an orphan is kept, and frozen orphans wait for the thaw', options, async (t) => {
  const { pool, path, mountPoint } = await mountTestPool(t, { size: '64M' })
  makeRam(path('ram'), 8 * MIB)
  const fd = fs.openSync(path('ram'), 'r')
  fs.unlinkSync(path('ram'))
  assert.equal((await guestmemfs('freeze', pool)).status, 0)
  fs.closeSync(fd)
  // Longer than the server waits between two searches for holders of its orphans.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  assert.deepEqual([freeBlocks(mountPoint), orphansOf(mountPoint)], [28, 1], 'frozen: nothing is given up')
  assert.equal((await guestmemfs('thaw', pool)).status, 0)
  await until('its blocks are back', () => freeBlocks(mountPoint) === 32)
})

/**
 * The kernel keeps FORGETs in a queue of their own, and lets up to 8 other requests pass it
 * (fuse_dev_do_read(), fs/fuse/dev.c): a busy server may read the last FORGETs after a later request. A few
 * requests in a row come after all of them, and leave the server no idle time for deferred work.
 */
function askAtOnce(mountPoint: string, wantedBlocks: number): [number, number] {
  for (let asked = 0; asked < 30 && freeBlocks(mountPoint) !== wantedBlocks; asked++);
  return [freeBlocks(mountPoint), orphansOf(mountPoint)]
}

test('files whose eviction was deferred are evicted, whatever request comes first', options, async (t) => {
  const pool = await mountTestPool(t, { size: '256M' })
  const { path, mountPoint } = pool
  const names = Array.from({ length: 100 }, (_, index) => path(`ram-${index}`))
  const fillAndRemove = (): void => {
    for (const name of names) makeRam(name, 2 * MIB)
    for (const name of names) fs.unlinkSync(name)
  }
  fillAndRemove()
  assert.deepEqual(askAtOnce(mountPoint, 128), [128, 0], 'who asks is told the end of it')
  for (let kill = 0; kill < 5; kill++) {
    fillAndRemove()
    process.kill(pool.serverPid(), 'SIGKILL')
    await until('all blocks are back', () => freeBlocks(mountPoint) === 128)
  }
  fillAndRemove()
  makeRam(path('whole'), 256 * MIB)
  fs.unlinkSync(path('whole'))
  fillAndRemove()
  assert.equal((await guestmemfs('freeze', pool.pool)).status, 0)
  assert.deepEqual(askAtOnce(mountPoint, 128), [128, 0], 'frozen: nothing is left behind')
  assert.equal((await guestmemfs('thaw', pool.pool)).status, 0)
  fillAndRemove()
  assert.match((await guestmemfs('umount', mountPoint)).stdout, /held nothing/)
})

test(
  'a file that the kernel forgot while its server died gives its memory back when it is deleted later',
  options,
  async (t) => {
    const folder = fs.mkdtempSync(join(tmpdir(), 'guestmemfs-forget-'))
    t.after(() => fs.rmSync(folder, { recursive: true }))
    const dies = join(folder, 'dies')
    const environment = { NODE_OPTIONS: `--import ${DEATH}`, DIE_AT_FORGET: dies }
    const pool = await mountTestPool(t, { size: '64M', environment })
    const { path, mountPoint } = pool
    makeRam(path('ram'), 8 * MIB)
    assert.equal(freeBlocks(mountPoint), 28)
    const server = pool.serverPid()
    fs.writeFileSync(dies, '')
    // On a remount the kernel drops the dentries that no process uses (reconfigure_super, fs/super.c), and
    // sends FORGET for their inodes.
    shell(`mount -i -o remount,rw '${mountPoint}'`)
    await until('the server died of a FORGET', () => !fs.existsSync(dies) && pool.serverPid() !== server)
    assert.equal(fs.statSync(path('ram')).size, 8 * MIB)
    fs.unlinkSync(path('ram'))
    await until('its blocks are back', () => freeBlocks(mountPoint) === 32)
    assert.equal(orphansOf(mountPoint), 0)
  },
)
