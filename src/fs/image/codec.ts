/**
 * The bytes of one entry: a tag, then its fields in the order of this file. An entry delimits itself, so
 * records and checkpoints are entries one after the other. Must not: choose where the bytes are kept.
 */

import type { Extent } from '../../stores/store.ts'
import { CorruptBytesError } from '../../values/errors.ts'
import type { Ino, ObjectId } from '../../values/ids.ts'
import { PERMISSION_BITS } from '../../values/uapi.ts'
import type { BlockState, Entry } from '../state/entry.ts'
import { type FileKind, type Inode, isSpecial, type SpecialKind, type Timestamp } from '../state/inode.ts'
import type { ByteOutput } from './byte-sink.ts'
import type { ByteSource } from './byte-source.ts'
import type { FormatVersion } from './image-format.ts'
import { decodeProperty } from './property.ts'

/** Tags are part of the format: never renumber, only add. Zero is no tag, so that padding is no entry. */
const TAG = {
  inode: 1,
  'inode-gone': 2,
  name: 3,
  'name-gone': 4,
  xattr: 5,
  'xattr-gone': 6,
  blocks: 7,
  pool: 8,
  property: 9,
  'property-gone': 10,
} as const satisfies Record<Entry['kind'], number>

/** The kinds by the low two bits of an inode's flags; their fourth value means a special one. */
const PLAIN_KINDS: readonly FileKind[] = ['directory', 'file', 'symlink']
const SPECIAL = 3
const SPECIAL_KINDS: readonly SpecialKind[] = ['fifo', 'socket', 'character-device', 'block-device']
const BLOCK_STATES: readonly BlockState[] = ['clean', 'dirty', 'bad']

/** Bits of an inode's second byte: above the two of its kind, below those that tell special kinds apart. */
const GUEST_RAM = 4
const HAS_MEMORY = 8
const GIGANTIC = 16
const SPECIAL_SHIFT = 5
const FLAGS_END = SPECIAL_KINDS.length << SPECIAL_SHIFT

/** NAME_MAX, XATTR_NAME_MAX, PATH_MAX and XATTR_SIZE_MAX (`include/uapi/linux/limits.h`). */
const NAME_LIMIT = 255
const TARGET_LIMIT = 4096
const VALUE_LIMIT = 65536
const NANOSECONDS = 1_000_000_000
const RDEV_LIMIT = 0xffff_ffff

/** Whether an image of this version can hold the entry. */
export function fitsVersion(version: FormatVersion, entry: Entry): boolean {
  if (version > 1) return true
  if (entry.kind === 'inode') return !isSpecial(entry.inode.kind)
  return entry.kind !== 'property' && entry.kind !== 'property-gone'
}

export function encodeEntry(entry: Entry, out: ByteOutput): void {
  out.u8(TAG[entry.kind])
  switch (entry.kind) {
    case 'inode':
      encodeInode(entry.inode, out)
      break
    case 'inode-gone':
      out.varint(entry.ino)
      break
    case 'name':
      out.varint(entry.parent)
      out.name(entry.name)
      out.varint(entry.ino)
      out.varint(entry.cookie)
      break
    case 'name-gone':
      out.varint(entry.parent)
      out.name(entry.name)
      break
    case 'xattr':
      out.varint(entry.ino)
      out.name(entry.name)
      out.bytes(entry.value)
      break
    case 'xattr-gone':
      out.varint(entry.ino)
      out.name(entry.name)
      break
    case 'blocks':
      encodeExtent(entry.extent, out)
      out.u8(BLOCK_STATES.indexOf(entry.state))
      break
    case 'pool':
      out.u8(entry.frozen ? 1 : 0)
      out.varint(entry.nextGeneration)
      out.varint(entry.nextCookie)
      break
    case 'property':
      out.varint(entry.ino)
      out.varint(entry.number)
      out.bytes(entry.value)
      break
    case 'property-gone':
      out.varint(entry.ino)
      out.varint(entry.number)
      break
  }
}

/**
 * The next entry of `from`. Throws `CorruptBytesError` when the bytes are not one; whatever they are, reads
 * stay inside.
 */
export function decodeEntry(from: ByteSource): Entry {
  const tag = from.u8()
  switch (tag) {
    case TAG.inode:
      return { kind: 'inode', inode: decodeInode(from) }
    case TAG['inode-gone']:
      return { kind: 'inode-gone', ino: decodeIno(from) }
    case TAG.name:
      return {
        kind: 'name',
        parent: decodeIno(from),
        name: from.name(NAME_LIMIT),
        ino: decodeIno(from),
        cookie: from.varint(),
      }
    case TAG['name-gone']:
      return { kind: 'name-gone', parent: decodeIno(from), name: from.name(NAME_LIMIT) }
    case TAG.xattr:
      return {
        kind: 'xattr',
        ino: decodeIno(from),
        name: from.name(NAME_LIMIT),
        value: from.bytes(VALUE_LIMIT),
      }
    case TAG['xattr-gone']:
      return { kind: 'xattr-gone', ino: decodeIno(from), name: from.name(NAME_LIMIT) }
    case TAG.blocks:
      return {
        kind: 'blocks',
        extent: decodeExtent(from),
        state: choice(BLOCK_STATES, from.u8(), 'block state'),
      }
    case TAG.pool:
      return {
        kind: 'pool',
        frozen: choice([false, true], from.u8(), 'frozen flag'),
        nextGeneration: from.varint(),
        nextCookie: from.varint(),
      }
    case TAG.property:
      return decodePropertyEntry(from)
    case TAG['property-gone']:
      return { kind: 'property-gone', ino: decodeIno(from), number: from.varint() }
    default:
      throw new CorruptBytesError(`${tag} is not the tag of an entry`)
  }
}

/**
 * Throws where the property's value is none (`decodeProperty`), and keeps its bytes: this version may not
 * implement it.
 */
function decodePropertyEntry(from: ByteSource): Entry {
  const ino = decodeIno(from)
  const number = from.varint()
  const value = from.bytes(VALUE_LIMIT)
  decodeProperty(number, value)
  return { kind: 'property', ino, number, value }
}

function encodeInode(inode: Inode, out: ByteOutput): void {
  const flags =
    (inode.guestRam ? GUEST_RAM : 0) |
    (inode.object === undefined ? 0 : HAS_MEMORY) |
    (inode.gigantic ? GIGANTIC : 0)
  out.u8(encodeKind(inode.kind) | flags)
  out.varint(inode.ino)
  out.varint(inode.generation)
  out.varint(inode.mode)
  out.varint(inode.uid)
  out.varint(inode.gid)
  out.varint(inode.links)
  out.varint(inode.sizeBytes)
  encodeTimestamp(inode.atime, out)
  encodeTimestamp(inode.mtime, out)
  encodeTimestamp(inode.ctime, out)
  if (isSpecial(inode.kind)) out.varint(inode.rdev)
  if (inode.object !== undefined) out.varint(inode.object)
  out.name(inode.target)
  out.varint(inode.extents.length)
  for (const extent of inode.extents) encodeExtent(extent, out)
}

function decodeInode(from: ByteSource): Inode {
  const flags = from.u8()
  const kind = decodeKind(flags)
  return {
    kind,
    guestRam: (flags & GUEST_RAM) !== 0,
    gigantic: (flags & GIGANTIC) !== 0,
    ino: decodeIno(from),
    generation: from.varint(),
    mode: decodeMode(from),
    uid: from.varint(),
    gid: from.varint(),
    links: from.varint(),
    sizeBytes: from.varint(),
    atime: decodeTimestamp(from),
    mtime: decodeTimestamp(from),
    ctime: decodeTimestamp(from),
    rdev: isSpecial(kind) ? decodeRdev(from) : 0,
    object: (flags & HAS_MEMORY) === 0 ? undefined : (from.varint() as ObjectId),
    target: from.name(TARGET_LIMIT),
    extents: decodeExtents(from),
  }
}

const encodeKind = (kind: FileKind): number =>
  isSpecial(kind) ? SPECIAL | (SPECIAL_KINDS.indexOf(kind) << SPECIAL_SHIFT) : PLAIN_KINDS.indexOf(kind)

function decodeKind(flags: number): FileKind {
  const kind = PLAIN_KINDS[flags & SPECIAL] ?? SPECIAL_KINDS[flags >> SPECIAL_SHIFT]
  const isWhole = kind !== undefined && flags < FLAGS_END && (isSpecial(kind) || flags < 1 << SPECIAL_SHIFT)
  if (!isWhole) throw new CorruptBytesError(`${flags} are not the flags of an inode`)
  return kind
}

/** Fixed size: touching a file must not change how much room it takes. */
function encodeTimestamp(time: Timestamp, out: ByteOutput): void {
  out.i64(time.seconds)
  out.u32(time.nanoseconds)
}

function decodeTimestamp(from: ByteSource): Timestamp {
  const seconds = from.i64()
  const nanoseconds = from.u32()
  if (nanoseconds >= NANOSECONDS)
    throw new CorruptBytesError(`${nanoseconds} nanoseconds are more than a second`)
  return { seconds, nanoseconds }
}

function encodeExtent(extent: Extent, out: ByteOutput): void {
  out.varint(extent.start)
  out.varint(extent.count)
}

function decodeExtent(from: ByteSource): Extent {
  const start = from.varint()
  const count = from.varint()
  if (count === 0) throw new CorruptBytesError('an extent has no blocks')
  return { start, count }
}

function decodeExtents(from: ByteSource): Extent[] {
  const extents: Extent[] = []
  // One at a time: a false count must not cause a large allocation, and the bytes run out first.
  for (let left = from.varint(); left > 0; left--) extents.push(decodeExtent(from))
  return extents
}

function decodeIno(from: ByteSource): Ino {
  const ino = from.varint()
  if (ino === 0) throw new CorruptBytesError('0 is not an inode number')
  return ino as Ino
}

function decodeRdev(from: ByteSource): number {
  const rdev = from.varint()
  if (rdev > RDEV_LIMIT) throw new CorruptBytesError(`device number ${rdev} has more than 32 bits`)
  return rdev
}

function decodeMode(from: ByteSource): number {
  const mode = from.varint()
  if (mode > PERMISSION_BITS)
    throw new CorruptBytesError(`mode 0${mode.toString(8)} has more than permission bits`)
  return mode
}

function choice<T>(values: readonly T[], index: number, what: string): T {
  const value = values[index]
  if (value === undefined) throw new CorruptBytesError(`${index} is not a ${what}`)
  return value
}
