/**
 * write to ordinary files: the bytes, the blocks they need, and the set-id bits and capabilities that a write
 * removes.
 */
import type { Extent } from '../../stores/store.ts'
import { EFBIG, EINVAL, ENOSPC, Errno } from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import { Refusal, Wait } from '../../values/refusal.ts'
import { S_ISGID } from '../../values/uapi.ts'
import { countBlocks, cutExtents } from '../space/extents.ts'
import type { BlockState } from '../state/entry.ts'
import { type Inode, objectOf } from '../state/inode.ts'
import { FILE_SIZE_MAX } from '../state/limits.ts'
import { Transaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'
import { ordinaryFile } from './data.ts'
import { growObject, planExtents, sizeRefusal, undoGrowth } from './resize.ts'

/** The origin of a record that no request caused: a request that the kernel sends again never matches it. */
const OWN_WORK = { unique: 0n, epoch: 0 }

const S_ISUID = 0o4000
const S_IXGRP = 0o010
/** XATTR_NAME_CAPS: what makes a program privileged without set-id bits. */
const CAPABILITIES = 'security.capability' as ByteString

/** How a write is made, beside where and what. */
export interface WriteOptions {
  /** FUSE_WRITE_KILL_SUIDGID: the writer has no CAP_FSETID, so the write removes set-id bits. */
  readonly killsSetId?: boolean
}

/**
 * Returns bytes written. The store writes the bytes before the record: a crash in between leaves the request
 * unanswered, so the kernel sends it again, and it writes the same bytes again. In the other order a request
 * could be answered whose bytes were never written. Errors: EBUSY, ESTALE, EISDIR, EINVAL, EFBIG, EOPNOTSUPP
 * for guest RAM, ENOSPC, WAIT_FOR_ZEROING, the store's.
 */
export function write(
  tx: Transaction,
  ino: Ino,
  offset: number,
  from: Uint8Array,
  options: WriteOptions = {},
): number | Refusal {
  const { volume } = tx
  const inode = volume.refusal() ?? ordinaryFile(volume, ino)
  if (inode instanceof Errno) return inode
  if (offset < 0) return EINVAL
  if (from.length === 0) return 0
  if (offset + from.length > FILE_SIZE_MAX) return EFBIG
  const changes = changesOf(tx, inode, options)
  return offset + from.length > inode.sizeBytes
    ? writeBeyond(tx, inode, offset, from, changes)
    : writeWithin(tx, inode, offset, from, changes)
}

/**
 * What a write changes beside bytes. A set-id program must not stay one after another user wrote to it: for
 * files that are opened DIRECT_IO the kernel leaves that to the server (`fuse_direct_io` in fs/fuse/file.c
 * does not call `file_remove_privs`). Any writer removes capabilities, as in `cap_inode_need_killpriv`
 * (security/commoncap.c).
 */
function changesOf(
  { volume, rq: { now } }: Transaction,
  { ino, mode }: Inode,
  { killsSetId = false }: WriteOptions,
): WriteChanges {
  const groupRuns = (mode & S_IXGRP) !== 0
  const killed = killsSetId ? S_ISUID | (groupRuns ? S_ISGID : 0) : 0
  return {
    fields: { mtime: now, ctime: now, mode: mode & ~killed },
    losesCapabilities: volume.state.xattrs.get(ino)?.has(CAPABILITIES) ?? false,
  }
}

interface WriteChanges {
  readonly fields: Pick<Inode, 'mtime' | 'ctime' | 'mode'>
  readonly losesCapabilities: boolean
}

function writeWithin(
  tx: Transaction,
  inode: Inode,
  offset: number,
  from: Uint8Array,
  { fields, losesCapabilities }: WriteChanges,
): number | Refusal {
  tx.change(inode, fields)
  if (losesCapabilities) tx.removeXattr(inode.ino, CAPABILITIES)
  const noRoom = tx.noRoom()
  if (noRoom) return noRoom
  const written = tx.volume.store.data.write(objectOf(inode), offset, from)
  if (written instanceof Refusal) return written
  if (written === 0) return ENOSPC
  // The record of a short write does not state its length: should the kernel send the request again, the next
  // server applies it again.
  tx.commit(written < from.length ? OWN_WORK : undefined)
  return written
}

/** All or nothing: where the store takes fewer bytes than it was given, the file stays as it was. */
function writeBeyond(
  tx: Transaction,
  inode: Inode,
  offset: number,
  from: Uint8Array,
  { fields, losesCapabilities }: WriteChanges,
): number | Refusal {
  const { volume } = tx
  const end = offset + from.length
  const extents = sizeRefusal(volume, inode, end) ?? planExtents(volume, inode, end, inode)
  if (extents instanceof Refusal) return extents
  const fresh = volume.store.descriptor.clearing === 'ours' ? newBlocks(inode, extents) : []
  tx.blocks(fresh, 'clean')
  const grown = tx.change(inode, { ...fields, sizeBytes: end, extents })
  if (losesCapabilities) tx.removeXattr(inode.ino, CAPABILITIES)
  const failure = tx.noRoom() ?? growObject(volume, inode, grown)
  if (failure) return failure

  const refusal = markDirtyFirst(volume, fresh) ?? tx.noRoom()
  const written = refusal ?? writeAll(volume, inode, offset, from)
  if (written instanceof Wait) {
    // The store has written nothing. The object stays grown: to undo that would undo the store's work, which
    // the repeated write needs.
    markCleanAgain(volume, fresh)
    return written
  }
  if (written instanceof Refusal) {
    undoGrowth(volume, inode)
    return written
  }
  tx.commit()
  return written
}

/** Where the store took fewer bytes than it was given, the next try returns why. */
function writeAll({ store }: Volume, inode: Inode, offset: number, from: Uint8Array): number | Refusal {
  let written = store.data.write(objectOf(inode), offset, from)
  while (typeof written === 'number' && written < from.length) {
    const more = store.data.write(objectOf(inode), offset + written, from.subarray(written))
    if (more === 0) return ENOSPC
    written = typeof more === 'number' ? written + more : more
  }
  return written
}

/**
 * A write puts bytes into new blocks before the record that gives them to the file. Where the store clears
 * blocks itself, a crash in between would leave those bytes in blocks that are recorded as clean, and another
 * file would show them. So a record of its own marks the blocks dirty first, and the record that gives them
 * to the file marks them clean.
 */
function markDirtyFirst(volume: Volume, blocks: readonly Extent[]): Errno | undefined {
  return stateBlocks(volume, blocks, 'dirty')
}

/**
 * Marks the blocks clean again: nothing was written to them. Where the image has no room for that record, the
 * worker zeroes them.
 */
function markCleanAgain(volume: Volume, blocks: readonly Extent[]): void {
  stateBlocks(volume, blocks, 'clean')
}

function stateBlocks(volume: Volume, blocks: readonly Extent[], state: BlockState): Errno | undefined {
  if (blocks.length === 0) return undefined
  const tx = new Transaction(volume, { origin: OWN_WORK })
  tx.blocks(blocks, state)
  return tx.commitIfRoom()
}

const newBlocks = (inode: Inode, extents: readonly Extent[]): readonly Extent[] =>
  cutExtents(extents, countBlocks(inode.extents)).freed
