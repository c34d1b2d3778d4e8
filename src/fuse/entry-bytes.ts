/**
 * The bytes of an inode, an open file and a directory entry: what several replies have in common. Written
 * field by field with the tables' offsets, because they are on the hot path. They are the same in every
 * reply. Sizes are in bytes, `blocks` in 512-byte units as stat(2) has it.
 */
import type { BackingId, NodeId } from '../values/ids.ts'
import { S_IFMT } from '../values/uapi.ts'
import { ATTR, DIRENT, ENTRY_OUT, OPEN_OUT } from './kernel-structs.ts'
import { setQuantity } from './struct.ts'

export interface Time {
  readonly seconds: number
  readonly nanoseconds: number
}

export interface Attributes {
  readonly ino: number
  readonly sizeBytes: number
  /** Units of 512 bytes. */
  readonly blocks: number
  readonly atime: Time
  readonly mtime: Time
  readonly ctime: Time
  /** File type and permission bits. */
  readonly mode: number
  readonly links: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  readonly blksize: number
}

export interface EntryReply {
  /** 0n: the name does not exist, which the kernel may cache for `entryValidSeconds`. */
  readonly nodeid: NodeId
  readonly generation: number
  readonly entryValidSeconds: number
  readonly attrValidSeconds: number
  readonly attributes: Attributes
}

export interface OpenReply {
  readonly fh: bigint
  /** A sum of FOPEN. */
  readonly flags: number
  /** With FOPEN.PASSTHROUGH, and only then. */
  readonly backingId?: BackingId | undefined
}

/** A directory entry's type is the file type of its mode. */
const TYPE_SHIFT = 12

export function putEntry(view: DataView, start: number, entry: EntryReply): void {
  const { at } = ENTRY_OUT
  view.setBigUint64(start + at.nodeid, entry.nodeid, true)
  setQuantity(view, start + at.generation, entry.generation)
  putValidity(view, start + at.entryValid, start + at.entryValidNsec, entry.entryValidSeconds)
  putValidity(view, start + at.attrValid, start + at.attrValidNsec, entry.attrValidSeconds)
  putAttributes(view, start + at.ino, entry.attributes)
}

export function putAttributes(view: DataView, start: number, attributes: Attributes): void {
  const { at } = ATTR
  setQuantity(view, start + at.ino, attributes.ino)
  setQuantity(view, start + at.size, attributes.sizeBytes)
  setQuantity(view, start + at.blocks, attributes.blocks)
  setQuantity(view, start + at.atime, attributes.atime.seconds)
  setQuantity(view, start + at.mtime, attributes.mtime.seconds)
  setQuantity(view, start + at.ctime, attributes.ctime.seconds)
  view.setUint32(start + at.atimensec, attributes.atime.nanoseconds, true)
  view.setUint32(start + at.mtimensec, attributes.mtime.nanoseconds, true)
  view.setUint32(start + at.ctimensec, attributes.ctime.nanoseconds, true)
  view.setUint32(start + at.mode, attributes.mode, true)
  view.setUint32(start + at.nlink, attributes.links, true)
  view.setUint32(start + at.uid, attributes.uid, true)
  view.setUint32(start + at.gid, attributes.gid, true)
  view.setUint32(start + at.rdev, attributes.rdev, true)
  view.setUint32(start + at.blksize, attributes.blksize, true)
  view.setUint32(start + at.flags, 0, true)
}

export function putOpen(view: DataView, start: number, open: OpenReply): void {
  const { at } = OPEN_OUT
  view.setBigUint64(start + at.fh, open.fh, true)
  view.setUint32(start + at.openFlags, open.flags, true)
  view.setInt32(start + at.backingId, open.backingId ?? 0, true)
}

/**
 * `start` must lie as far from the reply's beginning as FUSE_DIRENT_ALIGN says; takes `direntBytes` of the
 * name.
 */
export function putDirent(
  view: DataView,
  start: number,
  name: Uint8Array,
  ino: number,
  mode: number,
  cookie: number,
): void {
  const { at, sizeBytes } = DIRENT
  setQuantity(view, start + at.ino, ino)
  setQuantity(view, start + at.off, cookie)
  view.setUint32(start + at.namelen, name.byteLength, true)
  view.setUint32(start + at.type, (mode & S_IFMT) >> TYPE_SHIFT, true)
  const rest = new Uint8Array(view.buffer, view.byteOffset + start + sizeBytes, direntBytes(name) - sizeBytes)
  rest.fill(0, name.byteLength)
  rest.set(name)
}

/** FUSE_DIRENT_SIZE: the entry with its name, up to a multiple of 8. */
export function direntBytes(name: Uint8Array): number {
  return Math.ceil((DIRENT.sizeBytes + name.byteLength) / 8) * 8
}

export function putValidity(view: DataView, secondsAt: number, nanosecondsAt: number, seconds: number): void {
  const whole = Math.floor(seconds)
  setQuantity(view, secondsAt, whole)
  view.setUint32(nanosecondsAt, (seconds - whole) * 1e9, true)
}
