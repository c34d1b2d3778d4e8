import assert from 'node:assert/strict'
import { ChildProcess } from 'node:child_process'
import { mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { otherTree } from '../../test/mount/other-tree.ts'
import { OLDEST, olderObstacle, takeOlder } from '../../testbed/older-tree.ts'
import { readAt } from '../linux/memory.ts'
import { isLocked } from '../linux/own-lock.ts'
import type { Fd } from '../values/ids.ts'
import { type Areas, makeImage, makeRuntime, makeTable } from './areas.ts'
import { MemfdTable } from './memfd-table.ts'
import { type Opened, type ServerEnd, ServerProcess } from './server-process.ts'

const orders = { preserve() {}, unpreserve() {} }
const TODAY = join(import.meta.dirname, '../..')

test('a server that cannot be started counts as dead, and no other process ends with it', async (t) => {
  const program = process.execPath
  process.execPath = '/nonexistent'
  const { kill } = ChildProcess.prototype
  const killed: unknown[] = []
  ChildProcess.prototype.kill = (signal) => killed.push(signal) > 0
  t.after(() => {
    ChildProcess.prototype.kill = kill
  })
  const server = new ServerProcess(
    new MemfdTable(makeTable().table),
    openSync('/dev/null', 'a') as Fd,
    orders,
  )
  process.execPath = program
  const source = { kind: 'dax', region: null } as const
  const ended = await server.open({ pool: 'pool', source }, { runtime: makeRuntime(), memfd: undefined })
  assert.equal(ended.kind, 'died')
  assert.match((ended as { how: string }).how, /could not be started.*ENOENT/)
  assert.deepEqual(killed, [], 'a signal for a process that was never there reaches any other')
})

test('a server that hangs where a former one stands still is ended when its time is over', async () => {
  const server = new ServerProcess(
    new MemfdTable(makeTable().table),
    openSync('/dev/null', 'a') as Fd,
    orders,
  )
  process.kill(server.pid, 'SIGSTOP')
  const order = { pool: 'pool', source: { kind: 'dax', region: null }, isServed: true } as const
  const opening = server.open(order, { runtime: makeRuntime(), memfd: undefined }, 200)
  await assert.rejects(opening, /did not read the image within 200 ms and was ended/)
  assert.deepEqual(await server.end, { kind: 'died', how: 'SIGKILL' })
})

interface Asked {
  readonly server: ServerProcess
  readonly areas: Areas
  readonly answer: Opened | ServerEnd
}

/** A keeper of today asks a server of `tree` to open a new pool. */
async function ask(t: TestContext, tree: string): Promise<Asked> {
  const node = process.execPath
  const wrapper = join(mkdtempSync(join(tmpdir(), 'server-')), 'node')
  t.after(() => rmSync(dirname(wrapper), { recursive: true }))
  const flags = process.execArgv.map((flag) => `'${flag}'`).join(' ')
  writeFileSync(wrapper, `#!/bin/sh\nexec '${node}' ${flags} '${tree}/src/server/main.ts'\n`, { mode: 0o755 })
  const { fd, table } = makeTable()
  const areas: Areas = { runtime: makeRuntime(), memfd: [fd, makeImage()] }
  process.execPath = wrapper
  const server = new ServerProcess(new MemfdTable(table), openSync('/dev/null', 'a') as Fd, orders)
  process.execPath = node
  t.after(async () => {
    server.kill()
    await server.end
  })
  const source = { kind: 'memfd', totalBlocks: 32, isNew: true } as const
  return { server, areas, answer: await server.open({ pool: 'pool', source }, areas) }
}

function isBlank({ memfd }: Areas): boolean {
  const header = Buffer.alloc(4096)
  readAt((memfd as readonly [Fd, Fd])[1], 0, header)
  return header.every((byte) => byte === 0)
}

test('a server of today opens the pool, and the lock is on the first of its images', async (t) => {
  const { server, areas, answer } = await ask(t, TODAY)
  assert.equal(answer.kind, 'opened')
  assert.equal(isBlank(areas), false)
  const images = readdirSync(`/proc/${server.pid}/fd`)
    .filter((fd) => readlinkSync(`/proc/${server.pid}/fd/${fd}`).startsWith('/memfd:guestmemfs:image'))
    .map((fd) => isLocked(server.pid, Number(fd) as Fd))
  assert.deepEqual(images, [true, false])
})

test('one of the oldest tree, which says no version, is understood', {
  skip: olderObstacle(OLDEST) ?? false,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'older-'))
  t.after(() => rmSync(folder, { recursive: true }))
  takeOlder(OLDEST, folder)
  assert.equal((await ask(t, folder)).answer.kind, 'opened')
})

test('a server without a protocol in common with its keeper refuses before it has stored a byte', async (t) => {
  const protocol = 'PROTOCOL: Protocol = { oldest: 0, newest: 1 }'
  const later = protocol.replace('oldest: 0, newest: 1', 'oldest: 7, newest: 9')
  const { folder } = otherTree(t, ['src/server/messages.ts', protocol, later])
  const { areas, answer } = await ask(t, folder)
  assert.deepEqual(answer, {
    kind: 'refused',
    reason:
      'its keeper has protocol 0 to 1, its server 7 to 9: they are of two versions of guestmemfs; mount it with that of the server',
  })
  assert.ok(isBlank(areas))
})
