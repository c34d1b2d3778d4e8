/** Owns the bytes of ordinary files: read, write, seek. Guest RAM is reached by mmap alone. */
import { type Extent, WAITS } from '../stores/store.ts'
import { EFBIG, EINVAL, EISDIR, ENOSPC, ENXIO, EOPNOTSUPP, Errno } from '../values/errno.ts'
import type { Ino } from '../values/ids.ts'
import type { BlockState } from './entry.ts'
import { countBlocks, cutExtents } from './extents.ts'
import type { Inode } from './inode.ts'
import { growMemory, memoryOf, mustStay, planExtents, undoGrowth } from './resize.ts'
import type { Request, Volume } from './volume.ts'

/** lseek(2). The other whences are the kernel's own business. */
export const SEEK_DATA = 3
export const SEEK_HOLE = 4

/** The origin of a record nobody asked for: a request that comes again is never taken for it. */
const OWN_WORK = { unique: 0n, epoch: 0 }

/** Returns bytes read, 0 at the end. Errors: ESTALE, EISDIR, EINVAL, EOPNOTSUPP for guest RAM, the store's WAITS. */
export function read(volume: Volume, ino: Ino, offset: number, into: Uint8Array): number | Errno {
  const inode = ordinaryFile(volume, ino)
  if (inode instanceof Errno) return inode
  if (offset < 0) return EINVAL
  const length = Math.min(into.length, inode.sizeBytes - offset)
  return length <= 0 ? 0 : volume.store.read(memoryOf(inode), offset, into.subarray(0, length))
}

/**
 * Returns bytes written. The bytes are there before the record says so: a crash in between leaves the request
 * unanswered, it comes again and writes the same bytes again. The other way round an answer could stand for
 * bytes that never arrived.
 * Errors: EBUSY, ESTALE, EISDIR, EINVAL, EFBIG, EOPNOTSUPP for guest RAM, ENOSPC, WAITS_FOR_ZEROING, the store's ENOMEM, WAITS.
 */
export function write(
  volume: Volume,
  rq: Request,
  ino: Ino,
  offset: number,
  from: Uint8Array,
): number | Errno {
  const inode = volume.refusal() ?? ordinaryFile(volume, ino)
  if (inode instanceof Errno) return inode
  if (offset < 0) return EINVAL
  if (!Number.isSafeInteger(offset + from.length)) return EFBIG
  if (from.length === 0) return 0
  const end = offset + from.length
  return end > inode.sizeBytes
    ? writeBeyond(volume, rq, inode, offset, from, end)
    : writeWithin(volume, rq, inode, offset, from)
}

function writeWithin(
  volume: Volume,
  rq: Request,
  inode: Inode,
  offset: number,
  from: Uint8Array,
): number | Errno {
  const draft = volume.draft()
  draft.change(inode, { mtime: rq.now, ctime: rq.now })
  const noRoom = volume.noRoomFor(draft)
  if (noRoom) return noRoom
  const written = volume.store.write(memoryOf(inode), offset, from)
  if (written instanceof Errno) return written
  if (written === 0) return ENOSPC
  volume.commit(rq, draft)
  return written
}

/** All or nothing: where the store takes fewer bytes than it was given, the file stays as it was. */
function writeBeyond(
  volume: Volume,
  rq: Request,
  inode: Inode,
  offset: number,
  from: Uint8Array,
  end: number,
): number | Errno {
  const extents = mustStay(volume, inode, end) ?? planExtents(volume, inode, end, inode)
  if (extents instanceof Errno) return extents
  const fresh = volume.store.clearing === 'ours' ? newBlocks(inode, extents) : []
  const draft = volume.draft()
  draft.blocks(fresh, 'clean')
  const grown = draft.change(inode, { sizeBytes: end, extents, mtime: rq.now, ctime: rq.now })
  const failure = volume.noRoomFor(draft) ?? growMemory(volume, inode, grown)
  if (failure) return failure

  const refusal = claim(volume, fresh) ?? volume.noRoomFor(draft)
  const written = refusal ?? volume.store.write(memoryOf(inode), offset, from)
  if (written === WAITS) {
    // Nothing was written. The memory stays grown: what the store began for it would be for nothing otherwise.
    unclaim(volume, fresh)
    return WAITS
  }
  if (written instanceof Errno || written < from.length) {
    undoGrowth(volume, inode)
    return written instanceof Errno ? written : ENOSPC
  }
  volume.commit(rq, draft)
  return written
}

/**
 * A write puts bytes into new blocks before the record that gives them to the file. Where clearing is ours a
 * crash in between would leave those bytes in blocks that pass for clean, and another file would show them:
 * so the blocks are called dirty first, in a record of our own, and clean again in the record that owns them.
 */
function claim(volume: Volume, blocks: readonly Extent[]): Errno | undefined {
  return stateBlocks(volume, blocks, 'dirty')
}

/** They are as clean as they were. Without room to say so they are zeroed, and clean then. */
function unclaim(volume: Volume, blocks: readonly Extent[]): void {
  stateBlocks(volume, blocks, 'clean')
}

function stateBlocks(volume: Volume, blocks: readonly Extent[], state: BlockState): Errno | undefined {
  if (blocks.length === 0) return undefined
  const draft = volume.draft()
  draft.blocks(blocks, state)
  return volume.commitIfRoom({ origin: OWN_WORK }, draft)
}

const newBlocks = (inode: Inode, extents: readonly Extent[]): readonly Extent[] =>
  cutExtents(extents, countBlocks(inode.extents)).freed

/**
 * SEEK_DATA and SEEK_HOLE. Guest RAM is all data, which lseek(2) allows, so that its holes need not be known.
 * Errors: ESTALE, EISDIR, EINVAL, ENXIO beyond the end.
 */
export function seek(volume: Volume, ino: Ino, offset: number, whence: number): number | Errno {
  const inode = regularFile(volume, ino)
  if (inode instanceof Errno) return inode
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return EINVAL
  if (offset < 0 || offset >= inode.sizeBytes) return ENXIO
  if (inode.guestRam) return whence === SEEK_DATA ? offset : inode.sizeBytes
  const found = volume.store.seek(memoryOf(inode), offset, whence)
  // A memory may be larger than its file for a while: the file ends where its inode says.
  const inside = found instanceof Errno || found < inode.sizeBytes
  return inside ? found : whence === SEEK_HOLE ? inode.sizeBytes : ENXIO
}

function ordinaryFile(volume: Volume, ino: Ino): Inode | Errno {
  const inode = regularFile(volume, ino)
  return inode instanceof Errno || !inode.guestRam ? inode : EOPNOTSUPP
}

function regularFile(volume: Volume, ino: Ino): Inode | Errno {
  const inode = volume.inode(ino)
  if (inode instanceof Errno || inode.kind === 'file') return inode
  return inode.kind === 'directory' ? EISDIR : EINVAL
}
