/**
 * The image's format from one version to the next, under a mount: root upgrades a mounted pool of the former
 * program, which refuses it from then on, in one line, and changes nothing.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findAreas } from '../../src/keeper/takeover/held-areas.ts'
import { getxattr, setxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import { tellTree } from '../kept/tell-tree.ts'
import { Mapper } from './mapper.ts'
import { cannotRunOlder, mountOlderPool, type OlderPool } from './older.ts'
import { answerTo } from './refused.ts'
import { assertClean, guestmemfs, kill, nodeAsStranger, type TestPool } from './support.ts'
import { makeNode, S_IF } from './system-calls.ts'

const MIB = 1024 * 1024
const options = { skip: cannotRunOlder, timeout: 120_000 }
const FORMAT = 'guestmemfs.format'
const XATTR = new URL('../../src/linux/xattr.ts', import.meta.url)

function json(path: string, name: string): Record<string, unknown> {
  const value = getxattr(path, name)
  if (value instanceof Errno) assert.fail(`${name}: ${value}`)
  return JSON.parse(Buffer.from(value).toString())
}

const set = (path: string, version: string): string =>
  answerTo(() => setxattr(path, FORMAT, Buffer.from(version)))

/** A pool of the former program that today's serves, and guest RAM in it that is mapped. */
async function adopted(t: TestContext): Promise<OlderPool & { mapper: Mapper }> {
  const { pool, older } = await mountOlderPool(t)
  fs.writeFileSync(pool.path('text'), 'of the former')
  const mapper = await Mapper.start(t, pool.path('ram'), 8 * MIB, { create: true })
  await mapper.store(5 * MIB, 55)
  await kill(pool.keeperPid())
  const mounted = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([mounted.stderr, mounted.status], ['', 0])
  return { pool, older, mapper }
}

const makeFifo = ({ path }: TestPool): string => answerTo(() => makeNode(path('fifo'), S_IF.fifo))

test('root upgrades a pool live; until then what its version cannot hold is refused', options, async (t) => {
  const { pool, mapper } = await adopted(t)
  const { mountPoint, path } = pool
  assert.deepEqual(json(mountPoint, FORMAT), { version: 1, newest: 2 })
  assert.equal(makeFifo(pool), 'EPERM')
  assert.equal(json(mountPoint, 'guestmemfs.health').refusedByFormat, 1)
  const { status, stdout } = await guestmemfs('dump', pool.pool)
  assert.deepEqual([status, JSON.parse(stdout).header.version], [0, 1])

  fs.chmodSync(mountPoint, 0o1777)
  const program = `const { setxattr } = await import('${XATTR}'); process.stdout.write(String(setxattr('${mountPoint}', '${FORMAT}', Buffer.from('2'))))`
  const stranger = await nodeAsStranger(['--input-type=module', '-e', program])
  assert.match(stranger.stdout, /EPERM/, stranger.stderr)
  assert.deepEqual(
    [set(mountPoint, '3'), set(mountPoint, 'x'), set(path('text'), '2')],
    ['EINVAL', 'EINVAL', 'EINVAL'],
  )
  assert.equal((await guestmemfs('freeze', pool.pool)).status, 0)
  assert.equal(set(mountPoint, '2'), 'EBUSY')
  assert.equal((await guestmemfs('thaw', pool.pool)).status, 0)
  assert.deepEqual(json(mountPoint, FORMAT), { version: 1, newest: 2 })

  const told = tellTree(mountPoint)
  assert.equal(set(mountPoint, '2\n'), 'ok')
  assert.deepEqual(json(mountPoint, FORMAT), { version: 2, newest: 2 })
  assert.equal(set(mountPoint, '2'), 'ok', 'a second time')
  assert.deepEqual(tellTree(mountPoint), told)
  assert.equal(await mapper.load(5 * MIB), 55)
  assert.equal(makeFifo(pool), 'ok')
  await kill(pool.serverPid())
  assert.ok(fs.statSync(path('fifo')).isFIFO())
  assert.equal('refusedByFormat' in json(mountPoint, 'guestmemfs.health'), false)
  assert.equal(await mapper.load(5 * MIB), 55)
  await assertClean(pool.pool)
  await mapper.end()
  assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
  assert.equal((await guestmemfs('mount', pool.pool, mountPoint)).status, 0)
  assert.ok(fs.statSync(path('fifo')).isFIFO())
  assert.equal(fs.readFileSync(path('text'), 'utf8'), 'of the former')
  assert.deepEqual(json(mountPoint, FORMAT), { version: 2, newest: 2 })
})

/** The pool's image as its server has it. */
const imageOf = (pid: number): Buffer => fs.readFileSync(`/proc/${pid}/fd/${findAreas(pid).image}`)

test('the former program refuses an upgraded pool in one line, and touches nothing', options, async (t) => {
  const { pool, older, mapper } = await adopted(t)
  assert.equal(set(pool.mountPoint, '2'), 'ok')
  assert.equal(makeFifo(pool), 'ok')
  const before = imageOf(pool.serverPid())
  const folder = fs.mkdtempSync(join(tmpdir(), 'guestmemfs-test-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const file = join(folder, 'image')
  fs.writeFileSync(file, before)
  const checked = await older.run('fsck', file)
  assert.equal(checked.status === 0, false)
  assert.match(checked.stdout + checked.stderr, /^[^\n]*format version 2, this guestmemfs knows 1[^\n]*\n$/)
  assert.deepEqual(fs.readFileSync(file), before)

  await kill(pool.keeperPid())
  const taken = await older.run('mount', pool.pool, pool.mountPoint)
  assert.notEqual(taken.status, 0)
  assert.match(taken.stderr, /^guestmemfs: [^\n]*format version 2, this guestmemfs knows 1[^\n]*\n$/)
  assert.equal(await mapper.load(5 * MIB), 55)
  const again = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([again.stderr, again.status], ['', 0])
  assert.ok(fs.statSync(pool.path('fifo')).isFIFO())
  assert.deepEqual(imageOf(pool.serverPid()), before)
  assert.equal(await mapper.load(5 * MIB), 55)
  await assertClean(pool.pool)
})
