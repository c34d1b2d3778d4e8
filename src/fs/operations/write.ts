/** Owns writing to ordinary files: the bytes, the blocks they need, and what does not outlive new contents. */
import type { Extent } from '../../stores/store.ts'
import { EFBIG, EINVAL, ENOSPC, Errno } from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import { Refusal, Wait } from '../../values/refusal.ts'
import { countBlocks, cutExtents } from '../space/extents.ts'
import type { BlockState } from '../state/entry.ts'
import type { Inode } from '../state/inode.ts'
import type { Request, Volume } from '../state/volume.ts'
import { ordinaryFile } from './data.ts'
import { growMemory, memoryOf, mustStay, planExtents, undoGrowth } from './resize.ts'

/** The origin of a record nobody asked for: a request that comes again is never taken for it. */
const OWN_WORK = { unique: 0n, epoch: 0 }

const S_ISUID = 0o4000
const S_ISGID = 0o2000
const S_IXGRP = 0o010
/** XATTR_NAME_CAPS: what makes a program privileged without set-id bits. */
const CAPABILITIES = 'security.capability' as ByteString

/** How a write is made, beside where and what. */
export interface WriteOptions {
  /** FUSE_WRITE_KILL_SUIDGID: whoever writes may not keep set-id bits (has no CAP_FSETID). */
  readonly killsSetId?: boolean
}

/**
 * Returns bytes written. The bytes are there before the record says so: a crash in between leaves the request
 * unanswered, it comes again and writes the same bytes again. The other way round an answer could stand for
 * bytes that never arrived. Errors: EBUSY, ESTALE, EISDIR, EINVAL, EFBIG, EOPNOTSUPP for guest RAM, ENOSPC,
 * WAIT_FOR_ZEROING, the store's.
 */
export function write(
  volume: Volume,
  rq: Request,
  ino: Ino,
  offset: number,
  from: Uint8Array,
  options: WriteOptions = {},
): number | Refusal {
  const inode = volume.refusal() ?? ordinaryFile(volume, ino)
  if (inode instanceof Errno) return inode
  if (offset < 0) return EINVAL
  if (!Number.isSafeInteger(offset + from.length)) return EFBIG
  if (from.length === 0) return 0
  const end = offset + from.length
  const changes = draftWrite(volume, rq, inode, options)
  return end > inode.sizeBytes
    ? writeBeyond(volume, rq, inode, offset, from, end, changes)
    : writeWithin(volume, rq, inode, offset, from, changes)
}

/**
 * What a write changes beside bytes. That a program somebody else wrote to runs as its owner must not be: the
 * kernel leaves it to us for files that are opened DIRECT_IO (`fuse_direct_io` in fs/fuse/file.c does not
 * call `file_remove_privs`). Capabilities go whoever writes, as `cap_inode_need_killpriv`
 * (security/commoncap.c) has it.
 */
function draftWrite(
  { state }: Volume,
  { now }: Request,
  { ino, mode }: Inode,
  { killsSetId = false }: WriteOptions,
): WriteChanges {
  const groupRuns = (mode & S_IXGRP) !== 0
  const killed = killsSetId ? S_ISUID | (groupRuns ? S_ISGID : 0) : 0
  return {
    fields: { mtime: now, ctime: now, mode: mode & ~killed },
    losesCapabilities: state.xattrs.get(ino)?.has(CAPABILITIES) ?? false,
  }
}

interface WriteChanges {
  readonly fields: Pick<Inode, 'mtime' | 'ctime' | 'mode'>
  readonly losesCapabilities: boolean
}

function writeWithin(
  volume: Volume,
  rq: Request,
  inode: Inode,
  offset: number,
  from: Uint8Array,
  { fields, losesCapabilities }: WriteChanges,
): number | Refusal {
  const draft = volume.draft()
  draft.change(inode, fields)
  if (losesCapabilities) draft.removeXattr(inode.ino, CAPABILITIES)
  const noRoom = volume.noRoomFor(draft)
  if (noRoom) return noRoom
  const written = volume.store.data.write(memoryOf(inode), offset, from)
  if (written instanceof Refusal) return written
  if (written === 0) return ENOSPC
  // Of a write that was cut short nobody remembers how short: should it come again, it is done again.
  volume.commit(written < from.length ? { origin: OWN_WORK } : rq, draft)
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
  { fields, losesCapabilities }: WriteChanges,
): number | Refusal {
  const extents = mustStay(volume, inode, end) ?? planExtents(volume, inode, end, inode)
  if (extents instanceof Refusal) return extents
  const fresh = volume.store.descriptor.clearing === 'ours' ? newBlocks(inode, extents) : []
  const draft = volume.draft()
  draft.blocks(fresh, 'clean')
  const grown = draft.change(inode, { ...fields, sizeBytes: end, extents })
  if (losesCapabilities) draft.removeXattr(inode.ino, CAPABILITIES)
  const failure = volume.noRoomFor(draft) ?? growMemory(volume, inode, grown)
  if (failure) return failure

  const refusal = claim(volume, fresh) ?? volume.noRoomFor(draft)
  const written = refusal ?? volume.store.data.write(memoryOf(inode), offset, from)
  if (written instanceof Wait) {
    // Nothing was written. The memory stays grown: what the store began for it would be for nothing
    // otherwise.
    unclaim(volume, fresh)
    return written
  }
  if (written instanceof Refusal || written < from.length) {
    undoGrowth(volume, inode)
    return written instanceof Refusal ? written : ENOSPC
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
