/**
 * Extended attributes: which names may be stored, their limits and flags (xattr(7), setxattr(2)). What is
 * computed instead of stored (`guestmemfs.*`) and what is control (`trusted.guestmemfs.*`) has its own file.
 *
 * Stored: `user.*`, `trusted.*`, `security.*`; the kernel has checked who may touch them (`xattr_permission`
 * in fs/xattr.c). `system.*` is refused: an ACL that is stored but not enforced would protect nothing.
 */
import {
  E2BIG,
  EEXIST,
  EINVAL,
  ENODATA,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  Errno,
} from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { Refusal } from '../../values/refusal.ts'
import { CONTROL_PREFIX, VIRTUAL_PREFIX, XATTR_CREATE, XATTR_REPLACE } from '../../values/xattr-names.ts'
import { NAME_MAX, XATTR_LIST_MAX, XATTR_SIZE_MAX } from '../state/limits.ts'
import type { Transaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'
import {
  controlValue,
  FORMAT,
  isControl,
  setControl,
  setFormat,
  VM,
  wrongVmRecord,
} from '../xattrs/control-xattrs.ts'
import type { VirtualXattrs } from '../xattrs/virtual-xattrs.ts'

const STORED_PREFIXES = ['user.', 'trusted.', 'security.']

/** Errors: ESTALE, ENODATA, EOPNOTSUPP for names that cannot be stored. The value must not be changed. */
export function getXattr(
  volume: Volume,
  virtual: VirtualXattrs,
  ino: Ino,
  name: ByteString,
): Uint8Array | Errno {
  const inode = volume.inode(ino)
  if (inode instanceof Errno) return inode
  if (isControl(name)) return controlValue(volume, inode, name)
  if (name.startsWith(VIRTUAL_PREFIX)) return virtual.get(inode, name)
  return unstorable(name) ?? volume.state.xattrs.get(ino)?.get(name) ?? ENODATA
}

/**
 * Errors: EBUSY, ESTALE, EEXIST and ENODATA as the flags ask, E2BIG for a value beyond 64 KiB, ENOSPC for a
 * list beyond 64 KiB, ERANGE for a name beyond 255 bytes, EPERM for `guestmemfs.*`, EINVAL, EOPNOTSUPP.
 */
export function setXattr(
  tx: Transaction,
  ino: Ino,
  name: ByteString,
  value: Uint8Array,
  flags: number,
): Refusal | undefined {
  const { volume } = tx
  // Before the frozen check: thawing is the one modification that is allowed then.
  if (name.startsWith(CONTROL_PREFIX) && name !== VM) return setControl(tx, ino, name, value)
  if (name === FORMAT) return setFormat(tx, ino, value)
  const inode = volume.refusal() ?? volume.inode(ino)
  if (inode instanceof Errno) return inode
  const refusal = unwritable(name)
  if (refusal) return refusal
  if (flags !== 0 && flags !== XATTR_CREATE && flags !== XATTR_REPLACE) return EINVAL
  if (value.length > XATTR_SIZE_MAX) return E2BIG
  const wrong = name === VM ? wrongVmRecord(inode, value) : undefined
  if (wrong) return wrong

  const stored = volume.state.xattrs.get(ino)
  const exists = stored?.has(name) ?? false
  if (exists && flags === XATTR_CREATE) return EEXIST
  if (!exists && flags === XATTR_REPLACE) return ENODATA
  if (!exists && listBytes(stored?.keys() ?? []) + name.length + 1 > XATTR_LIST_MAX) return ENOSPC
  // A copy: the state outlives the caller's buffer.
  tx.xattr(ino, name, Uint8Array.from(value))
  tx.change(inode, { ctime: tx.rq.now })
  return tx.commitIfRoom()
}

/** Errors: EBUSY, ESTALE, ENODATA, EPERM for what is not stored, EOPNOTSUPP, ENOSPC. */
export function removeXattr(tx: Transaction, ino: Ino, name: ByteString): Errno | undefined {
  const { volume } = tx
  const inode = volume.refusal() ?? volume.inode(ino)
  if (inode instanceof Errno) return inode
  const refusal = isControl(name) ? EPERM : unwritable(name)
  if (refusal) return refusal
  if (!volume.state.xattrs.get(ino)?.has(name)) return ENODATA
  tx.removeXattr(ino, name)
  tx.change(inode, { ctime: tx.rq.now })
  return tx.commitIfRoom()
}

/**
 * The stored names, without those of guestmemfs itself: `cp -a` and rsync copy what they find listed, and a
 * copy of a VM's RAM file is not that VM. Errors: ESTALE.
 */
export function listXattrs(volume: Volume, ino: Ino): ByteString[] | Errno {
  const inode = volume.inode(ino)
  if (inode instanceof Errno) return inode
  return [...(volume.state.xattrs.get(ino)?.keys() ?? [])].filter((name) => !name.startsWith(CONTROL_PREFIX))
}

function unwritable(name: ByteString): Errno | undefined {
  if (name.startsWith(VIRTUAL_PREFIX)) return EPERM
  return unstorable(name)
}

function unstorable(name: ByteString): Errno | undefined {
  if (name.length > NAME_MAX) return ERANGE
  const prefix = STORED_PREFIXES.find((known) => name.startsWith(known))
  if (prefix === undefined) return EOPNOTSUPP
  return name === prefix || name.includes('\0') ? EINVAL : undefined
}

function listBytes(names: Iterable<ByteString>): number {
  let bytes = 0
  for (const name of names) bytes += name.length + 1
  return bytes
}
