/**
 * Processes of two versions at one pool: they agree, or one refuses in one line and nothing has changed; and
 * from a keeper whose files are replaced another keeper takes over all of the pool.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { ServerProcess } from '../../src/keeper/server-process.ts'
import { takeOver } from '../../src/keeper/takeover/copy-fds.ts'
import { mountTable } from '../../src/linux/mounts.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { logPath } from '../../src/run/pool-record.ts'
import type { Fd } from '../../src/values/ids.ts'
import { Mapper } from './mapper.ts'
import { type OtherTree, otherTree } from './other-tree.ts'
import {
  assertClean,
  beforeUnmount,
  cannotMount,
  guestmemfs,
  kill,
  mountTestPool,
  poolRecord,
  type TestPool,
  TREE,
  testMountPoint,
  testPool,
  testPoolName,
  until,
} from './support.ts'

const MIB = 1024 * 1024
const options = { skip: cannotMount, timeout: 120_000 }
const PROTOCOL = 'PROTOCOL: Protocol = { oldest: 0, newest: 1 }'

/** A guest and a program that use a pool while its processes are replaced. */
async function use(t: TestContext, { path }: TestPool): Promise<() => Promise<void>> {
  fs.writeFileSync(path('text'), 'before')
  const fd = fs.openSync(path('text'), 'r+')
  beforeUnmount(t, () => fs.closeSync(fd))
  const mapper = await Mapper.start(t, path('ram'), 8 * MIB, { create: true })
  await mapper.store(5 * MIB, 55)
  let round = 0
  return async () => {
    const text = `round ${++round}`
    fs.writeSync(fd, text, 0)
    assert.equal(fs.readFileSync(path('text'), 'utf8'), text)
    assert.equal(await mapper.load(5 * MIB), 55)
    fs.writeFileSync(path(`new ${round}`), text)
    assert.equal(fs.readFileSync(path(`new ${round}`), 'utf8'), text)
  }
}

async function mountBy(t: TestContext, tree: OtherTree): Promise<TestPool> {
  const pool = testPoolName(t)
  const mountPoint = testMountPoint(t)
  const mounted = await tree.run('mount', pool, mountPoint, '-o', 'size=64M')
  assert.deepEqual([mounted.stderr, mounted.status], ['', 0])
  return testPool(pool, mountPoint)
}

/** A server of `tree` on copies of the descriptors of the pool's server, started as by today's keeper. */
function startServer(t: TestContext, { pool }: TestPool, tree: string) {
  const node = process.execPath
  const wrapper = join(fs.mkdtempSync(join(tmpdir(), 'agree-')), 'node')
  t.after(() => fs.rmSync(dirname(wrapper), { recursive: true }))
  fs.writeFileSync(wrapper, `#!/bin/sh\nexec '${node}' '${tree}/src/server/main.ts'\n`, { mode: 0o755 })
  const { areas, memfds } = takeOver(pool, poolRecord(pool).server?.pid ?? 0, 'server')
  const log = fs.openSync('/dev/null', 'a') as Fd
  process.execPath = wrapper
  try {
    return { areas, server: new ServerProcess(memfds, log, { preserve() {}, unpreserve() {} }) }
  } finally {
    process.execPath = node
  }
}

test(
  'a server without a protocol in common with its keeper refuses, and has changed nothing',
  options,
  async (t) => {
    const later = otherTree(t, [
      'src/server/messages.ts',
      PROTOCOL,
      PROTOCOL.replace('oldest: 0, newest: 1', 'oldest: 7, newest: 9'),
    ])
    const pool = await mountTestPool(t, { size: '64M' })
    const goesOn = await use(t, pool)
    // Only that server may change the image: no other one serves while the test compares it.
    const image = () => `/proc/${pool.serverPid()}/fd/${imageFd(pool.serverPid())}`
    const before = fs.readFileSync(image())
    const { areas, server } = startServer(t, pool, later.folder)
    const end = await server.open({ pool: pool.pool, source: poolRecord(pool.pool).source }, areas)
    assert.equal(end.kind, 'refused')
    assert.match(
      JSON.stringify(end),
      /its keeper has protocol 0 to 1, its server 7 to 9: they are of two versions of guestmemfs; mount it with that of the server"/,
    )
    assert.ok(before.equals(fs.readFileSync(image())))
    await goesOn()
    await assertClean(pool.pool)
  },
)

function imageFd(pid: number): string {
  const found = fs.readdirSync(`/proc/${pid}/fd`).find((fd) => {
    try {
      return fs.readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('/memfd:guestmemfs:image')
    } catch {
      return false
    }
  })
  if (found === undefined) throw new Error(`process ${pid} has no image`)
  return found
}

test(
  'a runtime area of a later format is refused in one line, and its server serves on',
  options,
  async (t) => {
    const later = otherTree(t, [
      'src/server/runtime-area.ts',
      '{ oldest: 1, newest: 1 }',
      '{ oldest: 1, newest: 2 }',
    ])
    const pool = await mountBy(t, later)
    const goesOn = await use(t, pool)
    const server = pool.serverPid()
    await kill(pool.keeperPid())
    const refused = await guestmemfs('mount', pool.pool, pool.mountPoint)
    assert.equal(refused.status, 1)
    assert.match(
      refused.stderr,
      /^guestmemfs: pool '\S+': its runtime area has format 2, and this version of guestmemfs reads 1: [^\n]+\n$/,
    )
    assert.notEqual(processStartTime(server), undefined)
    assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'before')
    const adopted = await later.run('mount', pool.pool, pool.mountPoint)
    assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
    await goesOn()
    await assertClean(pool.pool)
  },
)

test('a keeper that gets the options of another version refuses', options, async () => {
  const main = join(TREE, 'src/keeper/main.ts')
  const child = spawn(process.execPath, [...process.execArgv, main], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  })
  const contact = child.stdio[3] as Duplex
  contact.write('{"kind":"mount","pool":"never","version":99}\n')
  const [said, [status]] = await Promise.all([text(contact), once(child, 'exit')])
  assert.equal(status, 1)
  assert.match(
    said,
    /^\{"ok":false,"reason":"guestmemfs was replaced by another version while it started: mount 'never' again"\}\n$/,
  )
  assert.equal(fs.existsSync(logPath('never')), false)
})

test('files replaced under a keeper: it notices, and another one takes over', options, async (t) => {
  const tree = otherTree(t)
  const pool = await mountBy(t, tree)
  const goesOn = await use(t, pool)
  await goesOn()
  const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
  tree.change('src/server/serve-connection.ts', '/**', '/** Of a later version.\n *')
  await kill(server)
  await goesOn()
  await until('the former keeper has ended', () => processStartTime(keeper) === undefined)
  // It writes its record when its server serves.
  await until('the record names the next keeper', () => pool.keeperPid() !== keeper)
  assert.equal(poolRecord(pool.pool).isGivenOver, undefined)
  assert.match(
    fs.readFileSync(logPath(pool.pool), 'utf8'),
    /the files of this keeper were replaced: it starts nothing from them/,
  )
  await kill(pool.serverPid())
  await goesOn()
  assert.equal((await tree.run('umount', pool.pool)).status, 1, 'its files are open')
  await assertClean(pool.pool)

  await t.test('by files that do not start: the keeper holds the pool until they do', async () => {
    const [former, last] = [pool.keeperPid(), pool.serverPid()]
    tree.change('src/pool/mount-pool.ts', 'export async function mountPool', 'expört')
    await kill(last)
    await until('it says so', () =>
      fs.readFileSync(logPath(pool.pool), 'utf8').includes('did not take the pool over'),
    )
    assert.equal(pool.keeperPid(), former)
    assert.notEqual(processStartTime(former), undefined)
    tree.change('src/pool/mount-pool.ts', 'expört', 'export async function mountPool')
    await goesOn()
    await until('the record names the next keeper', () => pool.keeperPid() !== former)
  })

  await t.test('by files that do not start: `mount` of another tree takes it over', async () => {
    const [former, last] = [pool.keeperPid(), pool.serverPid()]
    tree.change('src/pool/mount-pool.ts', 'export async function mountPool', 'expört')
    await kill(last)
    await until('the keeper waits to be taken over', () => poolRecord(pool.pool).isGivenOver === true)
    const deadline = performance.now() + 30_000
    // The `mount` that the keeper starts may hold the pool's lock.
    while ((await guestmemfs('mount', pool.pool, pool.mountPoint)).status !== 0)
      assert.ok(performance.now() < deadline)
    await goesOn()
    assert.equal(processStartTime(former), undefined)
    await assertClean(pool.pool)
  })
})

test('unmounted during that takeover: parked, and found again', options, async (t) => {
  const tree = otherTree(t)
  const pool = await mountBy(t, tree)
  fs.writeFileSync(pool.path('text'), 'kept')
  tree.change('src/pool/mount-pool.ts', 'export async function mountPool', 'expört')
  await kill(pool.serverPid())
  await until('the keeper waits to be taken over', () => poolRecord(pool.pool).isGivenOver === true)
  const unmounting = guestmemfs('umount', pool.pool)
  await until('it is unmounted', () => !mountTable().some(({ target }) => target === pool.mountPoint))
  tree.change('src/pool/mount-pool.ts', 'expört', 'export async function mountPool')
  const { status, stdout, stderr } = await unmounting
  assert.deepEqual([stderr, status], ['', 0])
  assert.match(stdout, /unmounted and parked/)
  assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint)).status, 0)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
  await assertClean(pool.pool)
})
