/** What two moments of a file system are compared by: a digest of its state, and the bytes its files show. */
import { crc32 } from 'node:zlib'
import { BLOCK_BYTES } from '../../../stores/store.ts'
import type { Ino } from '../../../values/ids.ts'
import { ByteSink } from '../../image/byte-sink.ts'
import { encodeEntry } from '../../image/codec.ts'
import { blocksFor } from '../../space/extents.ts'
import type { Inode } from '../../state/inode.ts'
import type { State } from '../../state/state.ts'
import type { MemoryStore } from '../memory-store.ts'

/** Bytes at the beginning of each block that the model keeps: files are read there and nowhere else. */
export const MODEL_BYTES = 16

const sink = new ByteSink()

/** The same for the same state, in whatever order its tables are walked. */
export function digest(state: State): number {
  let sum = 0
  for (const entry of state.entries()) {
    if (entry.kind === 'blocks' && entry.state === 'clean') continue
    sink.clear()
    encodeEntry(entry, sink)
    sum += crc32(sink.view())
  }
  return sum
}

/** What a file shows at the beginning of each of its blocks. */
export function bytesOf(inode: Inode, memory: MemoryStore): Uint8Array {
  const blocks = blocksFor(inode.sizeBytes)
  const shown = new Uint8Array(blocks * MODEL_BYTES)
  for (let block = 0; block < blocks && inode.object !== undefined; block++) {
    const length = Math.min(MODEL_BYTES, inode.sizeBytes - block * BLOCK_BYTES)
    const piece = shown.subarray(block * MODEL_BYTES, block * MODEL_BYTES + length)
    memory.read(inode.object, block * BLOCK_BYTES, piece)
  }
  return shown
}

/** What every file shows, without orphans, which no process can open. */
export type Contents = ReadonlyMap<Ino, Shown>
export interface Shown {
  readonly sizeBytes: number
  readonly bytes: Uint8Array
}

export function contentsOf(state: State, memory: MemoryStore): Contents {
  const contents = new Map<Ino, Shown>()
  for (const inode of state.inodes.values()) {
    if (inode.kind !== 'file' || inode.links === 0) continue
    contents.set(inode.ino, { sizeBytes: inode.sizeBytes, bytes: bytesOf(inode, memory) })
  }
  return contents
}

/**
 * Whether each file of `contents` shows what `expected` says. With `maybe`, bytes may also be those it says:
 * bytes of a write in flight, which no record states.
 */
export function shows(contents: Contents, expected: Contents, maybe?: Contents): boolean {
  for (const [ino, { sizeBytes, bytes }] of contents) {
    const before = expected.get(ino)
    const after = maybe?.get(ino)
    const same = (byte: number, at: number) => byte === before?.bytes[at] || byte === after?.bytes[at]
    if (sizeBytes !== before?.sizeBytes || !bytes.every(same)) return false
  }
  return true
}
