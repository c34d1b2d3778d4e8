/** A live update thread that hangs in a system call of the kernel ends the update, and never the pool. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { memfdCreate, resize } from '../../linux/memory.ts'
import { HandoverWords } from '../../stores/memfd/handover-status.ts'
import { EIO, Errno, ETIMEDOUT } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { makeTable } from '../areas.ts'
import { MemfdTable } from '../memfd-table.ts'
import { OutgoingSessions } from './preserve-memfds.ts'
import { type LuoCall, LuoThread } from './thread.ts'

const BLOCKED = new URL('./testing/blocked-worker.ts', import.meta.url)
const PATIENCE_MS = 1500

/** A thread that hangs in calls of one kind until `release`. */
function blockedThread(t: TestContext, kind: LuoCall['kind']) {
  const folder = mkdtempSync(join(tmpdir(), 'luo-'))
  const fifo = join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  process.env.GUESTMEMFS_TEST_FIFO = fifo
  process.env.GUESTMEMFS_TEST_HUNG_CALL = kind
  // One writer lets every reader go that waits, and every one that comes while it is there.
  let writer: number | undefined
  const release = (): void => {
    writer ??= openSync(fifo, 'r+')
  }
  t.after(() => {
    release()
    if (writer !== undefined) closeSync(writer)
    rmSync(folder, { recursive: true })
  })
  return { luo: new LuoThread({ worker: BLOCKED, patienceMs: PATIENCE_MS }), release }
}

function memfdOf(sizeBytes: number): Fd {
  const fd = memfdCreate('test', { sealable: true })
  resize(fd, sizeBytes)
  return fd
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return '' // Of the directory that was read.
  }
}

async function until(what: string, isOver: () => boolean): Promise<void> {
  for (let look = 0; !isOver(); look++) {
    assert.ok(look < 500, what)
    await sleep(10)
  }
}

test('a call that hangs is given up, the next one is answered, and the first is over when it returns', async (t) => {
  const { luo, release } = blockedThread(t, 'preserve')
  const session = await luo.create('session')
  assert.ok(!(session instanceof Errno))
  const fd = memfdOf(4096)
  assert.equal(await luo.preserve(session, fd, 1n), ETIMEDOUT)
  // By another thread: the first one hangs.
  const second = await luo.create('second')
  assert.ok(!(second instanceof Errno))
  await luo.close(second)
  let isSettled = false
  const settled = luo.settled().then(() => {
    isSettled = true
  })
  await sleep(50)
  assert.equal(isSettled, false)
  release()
  await settled
  assert.equal(await luo.preserve(session, fd, 2n), undefined)
  await luo.close(session)
  closeSync(fd)
})

/** A thread that ends in the first call of one kind. */
function endingThread(kind: LuoCall['kind']): LuoThread {
  delete process.env.GUESTMEMFS_TEST_FIFO
  process.env.GUESTMEMFS_TEST_HUNG_CALL = kind
  return new LuoThread({ worker: BLOCKED })
}

test('a thread that ends in a call of an update fails it at once, and another one makes the next', {
  timeout: 20_000,
}, async () => {
  const luo = endingThread('preserve')
  const session = await luo.create('session')
  assert.ok(!(session instanceof Errno))
  const fd = memfdOf(4096)
  assert.equal(await luo.preserve(session, fd, 1n), EIO)
  await luo.settled()
  process.env.GUESTMEMFS_TEST_HUNG_CALL = 'none'
  assert.equal(await luo.preserve(session, fd, 2n), undefined)
  await luo.close(session)
  closeSync(fd)
})

test('a thread that ends in a call for memory of the former kernel is an error, which ends the keeper', {
  timeout: 20_000,
}, async () => {
  const luo = endingThread('find')
  await assert.rejects(luo.find('session'), /the live update thread ended with 7 in 'find'/)
})

test('a session that comes too late is closed', async (t) => {
  const { luo, release } = blockedThread(t, 'create')
  assert.equal(await luo.create('late'), ETIMEDOUT)
  release()
  await luo.settled()
  const links = readdirSync('/proc/self/fd').map(linkOf)
  assert.deepEqual(
    links.filter((link) => link.startsWith('/memfd:session')),
    [],
  )
})

test('a hung step fails by name, is taken back, and leaves that memory alone until the kernel answers', async (t) => {
  const { luo, release } = blockedThread(t, 'preserve')
  const { table } = makeTable()
  const memfds = new MemfdTable(table)
  const objects = [1, 2, 3] as ObjectId[]
  for (const object of objects) memfds.hold([object], [memfdOf(4096)])
  const words = new HandoverWords(table.words, 'server')
  const lines: string[] = []
  const outgoing = new OutgoingSessions({
    pool: 'pool',
    totalBlocks: () => 8,
    memfds,
    table,
    luo,
    sessionFiles: 9,
    share: () => {},
    unshare: async () => {},
    log: (line) => void lines.push(line),
  })
  for (const object of objects) table.setState(object, 'outgoing')
  words.begin('ram', objects.length)
  outgoing.preserve('ram', undefined)
  await until('the step ends', () => words.state !== 'preserving')
  assert.equal(words.state, 'failed')
  assert.deepEqual(words.status.failure, { errno: ETIMEDOUT, object: 1 })

  words.apply('unpreserve')
  outgoing.unpreserve()
  await until('it is taken back', () => words.state === 'idle')
  assert.deepEqual(
    objects.map((object) => table.state(object)),
    ['outgoing', 'present', 'present'],
  )
  assert.deepEqual(outgoing.sessions, [])
  assert.ok(
    lines.some((line) => /has not answered/.test(line)),
    lines.join('\n'),
  )

  release()
  await until('the kernel lets go', () => table.state(1 as ObjectId) === 'present')
  for (const object of objects) table.setState(object, 'outgoing')
  words.begin('ram', objects.length)
  outgoing.preserve('ram', undefined)
  await until('the next attempt ends', () => words.state !== 'preserving')
  assert.equal(words.state, 'preserved')
})

test('a process that has nothing else to wait for waits for an answer', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'luo-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'program.mjs')
  const thread = new URL('./thread.ts', import.meta.url)
  writeFileSync(
    program,
    `import { LuoThread } from '${thread}'
const found = await new LuoThread().find('nobody')
process.stdout.write('answered ' + found)
`,
  )
  const said = execFileSync(process.execPath, [program], { encoding: 'utf8', timeout: 60_000 })
  assert.match(said, /^answered /)
})
