/**
 * `trusted.guestmemfs.*`: control of a pool through its own mount. Only CAP_SYS_ADMIN may touch `trusted.*`
 * (`xattr_permission` in fs/xattr.c), so an owner of a file cannot change what root acts on.
 *
 *   trusted.guestmemfs.frozen   on the root: "1" freezes, "0" thaws; a read returns the same
 *   trusted.guestmemfs.size     on a file: decimal bytes, as truncate(2); a read returns the size. The
 *                               only way to resize guest RAM that is shown as a link to a device; EBUSY while
 *                               it is mapped
 *                               on the root: decimal bytes of the whole pool, where its memory is the host's
 *   trusted.guestmemfs.align    on a directory: bytes of the pages that guest RAM made in it or below it is
 *                               to have, `2M` or `1G`; kept like any xattr
 *   trusted.guestmemfs.node     on a file of a region: the memory nodes that it lies in, as `0` or `0,1`; on
 *                               the root those of the pool. Only read
 *   trusted.guestmemfs.vm       on a RAM file: the definition of the VM, a JSON object, kept like any xattr
 *   trusted.guestmemfs.update   on the root: the record of the live update that starts the next kernel, a
 *                               JSON object that `resume` reads there. Kept like any xattr, but may be set
 *                               while frozen: the last change before the kexec
 *   trusted.guestmemfs.handover on the root: handover-steps.ts
 *   guestmemfs.format           on the root: a version of the image's format, which upgrades to it for good
 */
import { BLOCK_BYTES } from '../../stores/store.ts'
import { E2BIG, EBUSY, EINVAL, ENODATA, EPERM, Errno } from '../../values/errno.ts'
import { type ByteString, byteString, type Ino, ROOT_INO } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import {
  FORMAT_XATTR,
  FROZEN_XATTR,
  HANDOVER_XATTR,
  NODE_XATTR,
  SIZE_XATTR,
  UPDATE_XATTR,
  VM_XATTR,
} from '../../values/xattr-names.ts'
import { setHandover } from '../handover-steps.ts'
import { NEWEST_VERSION } from '../image/image-format.ts'
import { setAttributes } from '../operations/attributes.ts'
import { setPoolFrozen } from '../operations/pool.ts'
import { resizePool } from '../operations/resize-pool.ts'
import { ALIGN, parseAlignment } from '../space/alignment.ts'
import type { Inode } from '../state/inode.ts'
import { XATTR_SIZE_MAX } from '../state/limits.ts'
import type { Transaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'
import { nodesOf } from './file-nodes.ts'

export const FROZEN = byteString(FROZEN_XATTR)
export const SIZE = byteString(SIZE_XATTR)
export const NODE = byteString(NODE_XATTR)
export const VM = byteString(VM_XATTR)
export const UPDATE = byteString(UPDATE_XATTR)
export const HANDOVER = byteString(HANDOVER_XATTR)
export const FORMAT = byteString(FORMAT_XATTR)

/**
 * Errors: ESTALE, EINVAL for an unknown name, another inode or another value, EPERM for what is only read,
 * ENOSPC; those of `setAttributes`.
 */
export function setControl(
  tx: Transaction,
  ino: Ino,
  name: ByteString,
  value: Uint8Array,
): Refusal | undefined {
  const { volume } = tx
  const inode = volume.inode(ino)
  if (inode instanceof Errno) return inode
  if (name === NODE) return EPERM
  if (name === UPDATE) return ino === ROOT_INO ? recordUpdate(tx, value) : EINVAL
  const text = line(value)
  if (name === ALIGN) return inode.kind === 'directory' ? setAlignment(tx, inode, text) : EINVAL
  if (name === FROZEN && ino === ROOT_INO && /^[01]$/.test(text)) return setPoolFrozen(tx, text === '1')
  if (name === HANDOVER && ino === ROOT_INO) return setHandover(volume, text)
  if (name !== SIZE || !/^\d{1,20}$/.test(text)) return EINVAL
  if (ino === ROOT_INO) return resizePool(tx, Number(text))
  const resized = setAttributes(tx, ino, { sizeBytes: Number(text) })
  return resized instanceof Refusal ? resized : undefined
}

/** `echo 1 | …` writes a newline after it. */
const line = (value: Uint8Array): string => Buffer.from(value).toString('latin1').replace(/\n$/, '')

/**
 * The kernel lets every user set it who may write to the root directory, so the caller's uid is checked here.
 * A handover has checked that the next kernel's program can read the image, so the version stays while one is
 * under way. A request that the kernel sends again finds nothing left to do. Errors: EPERM, EINVAL for
 * another inode, an unknown version or an older one than the image has, EBUSY.
 */
export function setFormat({ volume, rq }: Transaction, ino: Ino, value: Uint8Array): Errno | undefined {
  const { journal, store } = volume
  if (rq.uid !== 0) return EPERM
  const text = line(value)
  if (ino !== ROOT_INO) return EINVAL
  if (text === String(journal.version)) return undefined
  if (text !== String(NEWEST_VERSION)) return EINVAL
  if (volume.frozen || (store.handover?.status.state ?? 'idle') !== 'idle') return EBUSY
  journal.upgrade()
  return undefined
}

/**
 * Files that exist stay as they are. Errors: EBUSY while frozen, EINVAL, EOPNOTSUPP (this memory has no such
 * pages), ENOSPC.
 */
function setAlignment(tx: Transaction, directory: Inode, text: string): Errno | undefined {
  const { volume } = tx
  const value = volume.refusal() ?? parseAlignment(volume, text)
  if (value instanceof Errno) return value
  tx.xattr(directory.ino, ALIGN, value)
  tx.change(directory, { ctime: tx.rq.now })
  return tx.commitIfRoom()
}

function recordUpdate(tx: Transaction, value: Uint8Array): Errno | undefined {
  if (value.length > XATTR_SIZE_MAX) return E2BIG
  if (parseObject(value) === undefined) return EINVAL
  tx.xattr(ROOT_INO, UPDATE, Uint8Array.from(value))
  return tx.commitIfRoom()
}

/** Control xattrs that return the present value. They are not stored. */
export const isControl = (name: ByteString): boolean => name === FROZEN || name === SIZE || name === NODE

/** Errors: ENODATA where the inode has no such control. */
export function controlValue(volume: Volume, inode: Inode, name: ByteString): Uint8Array | Errno {
  const { frozen, index } = volume
  if (name === NODE) {
    const nodes = nodesOf(volume, inode)
    return nodes.length === 0 ? ENODATA : Buffer.from(nodes.join(','))
  }
  if (name === SIZE && inode.ino === ROOT_INO)
    return Buffer.from(String(index.allocator.counts.total * BLOCK_BYTES))
  if (name === FROZEN) return inode.ino === ROOT_INO ? Buffer.from(frozen ? '1' : '0') : ENODATA
  return inode.kind === 'file' ? Buffer.from(String(inode.sizeBytes)) : ENODATA
}

/** A VM is recorded on its guest RAM, or on the empty file that is going to be it. Errors: EPERM, EINVAL. */
export function wrongVmRecord(inode: Inode, value: Uint8Array): Errno | undefined {
  if (inode.kind !== 'file' || (!inode.guestRam && inode.sizeBytes > 0)) return EPERM
  return parseObject(value) ? undefined : EINVAL
}

/** A record as far as the file system looks into it: a JSON object that may have a name. */
export function parseObject(value: Uint8Array): { name?: unknown } | undefined {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf8', { fatal: true }).decode(value))
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}
