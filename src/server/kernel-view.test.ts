/** How the next server corrects lookup counts that a lost FORGET left too high. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocks, fixture, nameAt, ROOT } from '../fs/testing/fixture.ts'
import type { Fd, Ino, NodeId } from '../values/ids.ts'
import { Context } from './context.ts'
import { KernelView, nodeIdOf } from './kernel-view.ts'
import { ParkedRequests } from './parked-requests.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from './runtime-area.ts'

const NO_FUSE = -1 as Fd

/** A connection whose kernel has looked up the node ids of `known`, and a server on it. */
function connection() {
  const fx = fixture({ totalBlocks: 8 })
  const area = new Uint8Array(RUNTIME_AREA_BYTES)
  const known = new Set<NodeId>()
  const asked: NodeId[] = []
  const startServer = () => {
    const runtime = new RuntimeArea(area)
    const find = (ino: Ino) => fx.fs.inode(ino)
    const kernel = new KernelView(runtime, NO_FUSE, find, (nodeId) => {
      asked.push(nodeId)
      return known.has(nodeId)
    })
    const parked = new ParkedRequests()
    const { evictions } = new Context({ fs: fx.fs, store: fx.store, kernel, runtime, parked })
    const lookUp = (ino: Ino) => {
      kernel.stageLookup({ inode: fx.stat(ino), as: 'file' })
      kernel.beforeReply(2n)
      kernel.afterReply(true)
    }
    const forget = (ino: Ino, count: number) => {
      const nodeId = nodeIdOf(fx.stat(ino), 'file')
      evictions.forget(nodeId, count)
      evictions.endAll()
    }
    return { kernel, lookUp, forget }
  }
  const unlink = (name: string) => assert.equal(fx.fs.unlink(fx.rq(), nameAt(ROOT, name)), undefined)
  const freeBlocks = () => fx.fs.statfs().freeBlocks
  return { fx, known, asked, startServer, unlink, freeBlocks }
}

test('a file whose FORGET a killed server had read, and that still had a name, frees its memory after a later rm', () => {
  const { fx, asked, startServer, unlink, freeBlocks } = connection()
  const ino = fx.file('file', blocks(3))
  const first = startServer()
  for (let times = 0; times < 3; times++) first.lookUp(ino)
  // The first server reads the FORGET of 3, and dies.
  const second = startServer()
  second.kernel.takeOver(fx.fs.orphans())
  assert.deepEqual(asked, [], 'a file with a name is not asked about')
  second.lookUp(ino)
  unlink('file')
  second.forget(ino, 1)
  assert.equal(freeBlocks(), 8)
  assert.equal(fx.fs.orphanCount, 0)
})

test('an orphan that the kernel still references stays, whatever it has forgotten of it', () => {
  const { fx, known, startServer, unlink, freeBlocks } = connection()
  const ino = fx.file('file', blocks(3))
  startServer().lookUp(ino)
  const second = startServer()
  second.kernel.takeOver(fx.fs.orphans())
  second.lookUp(ino)
  unlink('file')
  known.add(nodeIdOf(fx.stat(ino), 'file'))
  second.forget(ino, 1)
  assert.equal(freeBlocks(), 5)
  second.forget(ino, 1)
  assert.equal(freeBlocks(), 8)
})

test('the kernel is not asked about what this server has counted itself', () => {
  const { fx, asked, startServer, unlink, freeBlocks } = connection()
  const old = fx.file('old', blocks(1))
  const first = startServer()
  first.lookUp(old)
  const second = startServer()
  second.kernel.takeOver(fx.fs.orphans())
  unlink('old')
  second.forget(old, 1)
  // The same inode number again, for another file.
  const ino = fx.file('new', blocks(1))
  // The kernel looked it up twice, and uses the first answer late: until then it has no inode.
  second.lookUp(ino)
  second.lookUp(ino)
  unlink('new')
  second.forget(ino, 1)
  assert.deepEqual(asked, [])
  assert.equal(freeBlocks(), 7)
  second.forget(ino, 1)
  assert.equal(freeBlocks(), 8)
})
