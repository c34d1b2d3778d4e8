/** A small file system for tests, and what must hold after every step of every test. */
import assert from 'node:assert/strict'
import { BLOCK_BYTES, type Extent, type FrameGrid, type PoolPlace } from '../../stores/store.ts'
import { byteString, type Ino, ROOT_INO } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import { FileSystem } from '../file-system.ts'
import type { NameAt } from '../state/entry.ts'
import type { Inode } from '../state/inode.ts'
import type { Journal } from '../state/journal.ts'
import { totalBlocksOf } from '../state/pool-size.ts'
import type { State } from '../state/state.ts'
import type { Caller } from '../state/volume.ts'
import { MemoryStore } from './memory-store.ts'
import { PlainJournal } from './plain-journal.ts'

export const ROOT = ROOT_INO
export const n = byteString
export const nameAt = (parent: Ino, name: string): NameAt => ({ parent, name: byteString(name) })

export interface Fixture<J extends Journal = PlainJournal, S extends MemoryStore = MemoryStore> {
  readonly fs: FileSystem
  readonly store: S
  readonly journal: J
  /** A request of its own, one second later than the last. */
  rq(fields?: Partial<Caller>): Caller
  /** Creates `name` in the root, `sizeBytes` long. */
  file(name: string, sizeBytes?: number): Ino
  stat(ino: Ino): Inode
}

export interface FixtureOptions {
  readonly clearing?: 'kernel' | 'ours'
  readonly totalBlocks?: number
  readonly chunkBlocks?: number
  readonly contiguous?: boolean
  readonly frames?: FrameGrid
  readonly place?: PoolPlace
}

export function fixture(options: FixtureOptions = {}): Fixture {
  const { clearing = 'kernel', totalBlocks = 16, ...rest } = options
  const store = new MemoryStore({ clearing, totalBlocks, ...rest })
  return fixtureOver(new PlainJournal(totalBlocks), store)
}

/** A file system over what another one left: how a successor finds it. */
export function fixtureOver<J extends Journal, S extends MemoryStore>(journal: J, store: S): Fixture<J, S> {
  const fs = new FileSystem(journal, store)
  let requests = Number(journal.lastOrigin?.unique ?? 0)
  const rq = (fields: Partial<Caller> = {}): Caller => {
    requests++
    const now = { seconds: 1000 + requests, nanoseconds: requests }
    return { origin: { unique: BigInt(requests), epoch: 1 }, uid: 0, gid: 0, now, ...fields }
  }
  const stat = (ino: Ino) => fs.inode(ino) ?? assert.fail(`inode ${ino} is gone`)
  const file = (name: string, sizeBytes = 0): Ino => {
    const { ino } = ok(fs.create(rq(), nameAt(ROOT, name), 0o644))
    if (sizeBytes > 0) ok(fs.setAttributes(rq(), ino, { sizeBytes }))
    return ino
  }
  return { fs, store, journal, rq, file, stat }
}

/** A result that must not be a refusal. */
export function ok<T>(result: T | Refusal): T {
  if (result instanceof Refusal) assert.fail(`unexpected ${result}`)
  return result
}

/** All invariants of the state, and that statfs agrees with it. `chunkBlocks`: as the store has it. */
export function checkInvariants(fs: FileSystem, journal: Journal, chunkBlocks?: number): void {
  const made = journal.identity.totalBlocks
  const totalBlocks = totalBlocksOf(journal.state.properties, made)
  assert.deepEqual(journal.state.verify(made, chunkBlocks), [])
  // A block that turned bad under a file is the file's until the file loses it.
  const notFree = new Set<number>()
  const count = ({ start, count }: Extent) => {
    for (let block = start; block < start + count; block++) notFree.add(block)
  }
  for (const { extents } of journal.state.inodes.values()) extents.forEach(count)
  for (const entry of journal.state.entries())
    if (entry.kind === 'blocks' && entry.state === 'bad') count(entry.extent)
  const use = fs.statfs()
  assert.equal(use.totalBlocks, totalBlocks)
  assert.equal(use.freeBlocks, totalBlocks - notFree.size)
  assert.equal(use.files - use.freeFiles, journal.state.inodes.size)
}

/** Numbers of the blocks that have failed and that no file owns. */
export function badFreeBlocks({ blockStates, inodes }: State): number[] {
  const numbers = ({ start, count }: Extent) => Array.from({ length: count }, (_, at) => start + at)
  const owned = new Set([...inodes.values()].flatMap(({ extents }) => extents.flatMap(numbers)))
  const bad = blockStates.runs.filter(({ state }) => state === 'bad').flatMap(numbers)
  return bad.filter((block) => !owned.has(block))
}

export const blocks = (count: number): number => count * BLOCK_BYTES
