/** Tests that a frozen pool refuses every modification, and nothing else, until it is thawed. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { getxattr, removexattr, setxattr } from '../../src/linux/xattr.ts'
import { Mapper } from './mapper.ts'
import { allAnswer, answersTo } from './refused.ts'
import {
  cannotMount,
  guestmemfs,
  guestmemfsAsStranger,
  mountTestPool,
  shell,
  type TestPool,
} from './support.ts'
import { allocate, FALLOC_FL, makeNode, RENAME, renameFlags, S_IF } from './system-calls.ts'

const MIB = 1024 * 1024
const bytes = (text: string): Uint8Array => Buffer.from(text)

/** Every operation that changes something on a mount. `fd`: of the file. */
const modifications = ({ path }: TestPool, fd: number, ramFd: number): Record<string, () => unknown> => ({
  create: () => fs.openSync(path('new'), 'w'),
  mknod: () => makeNode(path('new'), S_IF.file),
  mkdir: () => fs.mkdirSync(path('new')),
  symlink: () => fs.symlinkSync('x', path('new')),
  link: () => fs.linkSync(path('file'), path('new')),
  unlink: () => fs.unlinkSync(path('file')),
  rmdir: () => fs.rmdirSync(path('dir')),
  rename: () => fs.renameSync(path('file'), path('new')),
  'rename exchanging': () => renameFlags(path('file'), path('ram'), RENAME.exchange),
  write: () => fs.writeSync(fd, 'x', 0),
  append: () => fs.appendFileSync(path('file'), 'x'),
  'write nothing new': () => fs.writeSync(fd, 'text', 0),
  truncate: () => fs.truncateSync(path('file'), 1),
  'truncate to the same size': () => fs.ftruncateSync(fd, 4),
  'open truncating': () => fs.openSync(path('file'), 'w'),
  'grow guest RAM': () => fs.truncateSync(path('ram'), 8 * MIB),
  fallocate: () => allocate(fd, 0, 0, MIB),
  'punch a hole': () => allocate(ramFd, FALLOC_FL.punchHole | FALLOC_FL.keepSize, 0, MIB),
  chmod: () => fs.chmodSync(path('file'), 0o600),
  chown: () => fs.chownSync(path('file'), 1, 1),
  utimes: () => fs.utimesSync(path('file'), 1, 1),
  setxattr: () => setxattr(path('file'), 'user.new', bytes('1')),
  removexattr: () => removexattr(path('file'), 'user.old'),
  'record a VM': () => setxattr(path('ram'), 'trusted.guestmemfs.vm', bytes('{"name":"x"}')),
})

/** What callers see of the pool, contents included. */
const view = (pool: TestPool): string =>
  shell(
    `cd '${pool.mountPoint}'; find . -printf '%p %y %m %U %G %s %n %T@ %C@ %l\\n' | sort; cat file; stat -f -c '%b %f %d' .`,
  )

test('freeze and thaw', { skip: cannotMount, timeout: 120_000 }, async (t) => {
  const pool = await mountTestPool(t)
  const { path } = pool
  fs.writeFileSync(path('file'), 'text')
  fs.mkdirSync(path('dir'))
  fs.writeFileSync(path('ram'), '')
  fs.truncateSync(path('ram'), 4 * MIB)
  assert.equal(setxattr(path('file'), 'user.old', bytes('1')), undefined)
  const frozenFlag = (): string =>
    Buffer.from(getxattr(pool.mountPoint, 'trusted.guestmemfs.frozen') as Uint8Array).toString()

  const refusesEverything = (): void => {
    const [fd, ramFd] = [fs.openSync(path('file'), 'r+'), fs.openSync(path('ram'), 'r+')]
    try {
      const before = view(pool)
      const operations = modifications(pool, fd, ramFd)
      assert.deepEqual(answersTo(operations), allAnswer(operations, 'EBUSY'))
      assert.equal(view(pool), before)
    } finally {
      fs.closeSync(fd)
      fs.closeSync(ramFd)
    }
  }

  await t.test('every modification answers EBUSY, reading and mapping go on', async (t) => {
    const mapper = await Mapper.start(t, path('ram'), 4 * MIB)
    assert.equal(
      (await guestmemfs('freeze', pool.pool)).stdout,
      `${pool.pool} on ${pool.mountPoint}: frozen\n`,
    )
    assert.equal(frozenFlag(), '1')
    refusesEverything()
    // A freeze does not stop stores through a mapping, as `guestmemfs freeze` prints.
    await mapper.store(1, 17)
    const later = await Mapper.start(t, path('ram'), 4 * MIB)
    assert.equal(await later.load(1), 17)
    await Promise.all([mapper.end(), later.end()])
    assert.equal(Buffer.from(getxattr(path('file'), 'user.old') as Uint8Array).toString(), '1')
    assert.match((await guestmemfs('freeze', pool.mountPoint)).stdout, /already frozen/)
  })

  await t.test('it holds across a killed server, parking and the next mount', async () => {
    const before = view(pool)
    process.kill(pool.serverPid(), 'SIGKILL')
    refusesEverything()
    assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
    assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint)).status, 0)
    refusesEverything()
    assert.equal(view(pool), before)
    const { stdout } = await guestmemfs('status', pool.pool)
    assert.match(stdout, /^health +frozen: every modification is refused$/m)
    assert.match(stdout, new RegExp(`^to do +'guestmemfs thaw ${pool.pool}' ends that$`, 'm'))
  })

  await t.test('only root thaws; then everything goes again', async () => {
    const stranger = await guestmemfsAsStranger('thaw', pool.pool)
    assert.equal(stranger.status, 1)
    assert.match(stranger.stderr, /^guestmemfs: .*needs root\n$/)
    refusesEverything()
    assert.equal((await guestmemfs('thaw', pool.pool)).stdout, `${pool.pool} on ${pool.mountPoint}: thawed\n`)
    assert.equal(frozenFlag(), '0')
    fs.writeFileSync(path('new'), 'x')
    fs.unlinkSync(path('file'))
    assert.deepEqual(fs.readdirSync(pool.mountPoint).toSorted(), ['dir', 'new', 'ram'])
  })
})
