/**
 * The header: what any version of guestmemfs can read about an image, whichever version wrote the rest. A
 * server, or `format`, writes it when it makes the image, and a server when it upgrades the image.
 *
 * Fixed for all versions: the magic word, the version after it, pool size, uuid, store kind and pool name,
 * and the crc32 at the end of the 4 KiB.
 */
import { crc32 } from 'node:zlib'
import { BLOCK_BYTES } from '../../stores/store.ts'
import { BrokenInvariantError, CorruptBytesError } from '../../values/errors.ts'
import {
  type FormatVersion,
  type Geometry,
  geometryOf,
  HEADER_BYTES,
  NEWEST_VERSION,
} from './image-format.ts'
import { dataViewOf } from './words.ts'
import type { AreaWriter } from './writer.ts'

/** What an image is of. `totalBlocks` in units of `BLOCK_BYTES`; `uuid` is 16 bytes. */
export interface Identity {
  readonly poolName: string
  readonly storeKind: string
  readonly totalBlocks: number
  readonly uuid: Uint8Array
}

/** What the caller that opens an image expects; `totalBlocks` only where the store has a size of its own. */
export interface Expected {
  readonly storeKind: string
  readonly totalBlocks?: number
  /** As in `PlacementRules`: `unpackImage` checks a packed image by it. */
  readonly chunkBlocks?: number | undefined
}

/**
 * `blank`: never used, may be formatted. `unfinished`: formatting began and did not end, nothing was ever in
 * it.
 */
export type Probe = 'blank' | 'unfinished' | 'image' | 'foreign'

const word = (text: string): bigint => Buffer.from(text, 'latin1').readBigUInt64LE()
const MAGIC = word('GUESTMEM')
const FORMATTING = word('guestmem')

const FIELD = {
  magic: 0,
  version: 8,
  blockBytes: 12,
  areaBytes: 16,
  totalBlocks: 24,
  slotBytes: 32,
  segmentBytes: 40,
  slotOffsets: 48,
  segmentOffsets: 64,
  uuid: 80,
  storeKind: 96,
  poolName: 128,
  crc: HEADER_BYTES - 4,
} as const
/** Text fields: a length byte, then UTF-8. */
const STORE_KIND_LIMIT = FIELD.poolName - FIELD.storeKind - 1
const POOL_NAME_LIMIT = 255

/**
 * What `area` holds, by its beginning alone: whether it can be formatted, can be opened, or must be left
 * alone.
 */
export function probe(area: Uint8Array): Probe {
  const magic = dataViewOf(area).getBigUint64(FIELD.magic, true)
  if (magic === MAGIC) return 'image'
  if (magic === FORMATTING) return 'unfinished'
  return area.subarray(0, HEADER_BYTES).every((byte) => byte === 0) ? 'blank' : 'foreign'
}

/** From here until `finishHeader` the area is no image: whatever it held is invalid. */
export function beginHeader(writer: AreaWriter): void {
  writer.word(FIELD.magic, FORMATTING)
}

/** Makes the area an image, by its last store. Everything else must be in place. */
export function finishHeader(
  writer: AreaWriter,
  geometry: Geometry,
  identity: Identity,
  version: FormatVersion,
): void {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(version, FIELD.version)
  header.writeUInt32LE(BLOCK_BYTES, FIELD.blockBytes)
  const numbers: [number, number][] = [
    [FIELD.areaBytes, geometry.areaBytes],
    [FIELD.totalBlocks, identity.totalBlocks],
    [FIELD.slotBytes, geometry.slotBytes],
    [FIELD.segmentBytes, geometry.segmentBytes],
    ...geometry.slotOffsets.map((offset, side): [number, number] => [FIELD.slotOffsets + 8 * side, offset]),
    ...geometry.segmentOffsets.map((offset, side): [number, number] => [
      FIELD.segmentOffsets + 8 * side,
      offset,
    ]),
  ]
  for (const [offset, value] of numbers) header.writeBigUInt64LE(BigInt(value), offset)
  if (identity.uuid.length !== 16) throw new BrokenInvariantError('a uuid is 16 bytes')
  header.set(identity.uuid, FIELD.uuid)
  writeText(header, FIELD.storeKind, identity.storeKind, STORE_KIND_LIMIT)
  writeText(header, FIELD.poolName, identity.poolName, POOL_NAME_LIMIT)
  header.writeUInt32LE(headerCrc(header), FIELD.crc)
  writer.bytes(FIELD.version, header.subarray(FIELD.version))
  writer.word(FIELD.magic, MAGIC)
}

export interface Header {
  readonly identity: Identity
  readonly geometry: Geometry
  readonly version: FormatVersion
  /** A crash came between the two stores of `upgradeHeader`, which the server makes again. */
  readonly isHalfUpgraded: boolean
  /** A copy of the 4 KiB. */
  readonly bytes: Buffer
}

/**
 * Throws `CorruptBytesError` unless this is a whole header of a version and geometry that this code reads.
 */
export function readHeader(area: Uint8Array): Header {
  const state = area.length < HEADER_BYTES ? 'foreign' : probe(area)
  if (state !== 'image') throw new CorruptBytesError(NOT_AN_IMAGE[state])
  const bytes = Buffer.from(area.subarray(0, HEADER_BYTES))
  if (!isWhole(bytes)) throw new CorruptBytesError('the header of the image fails its checksum')
  const version = versionOf(bytes)
  if (version === undefined) {
    throw new CorruptBytesError(
      `the image has format version ${bytes.readUInt32LE(FIELD.version)}, this guestmemfs reads 1 to ${NEWEST_VERSION}: use the release that made it`,
    )
  }
  const isHalfUpgraded = bytes.readUInt32LE(FIELD.crc) !== headerCrc(bytes)
  const geometry = readGeometry(bytes, area.length)
  return { identity: identityOf(bytes), geometry, version, isHalfUpgraded, bytes }
}

/**
 * The identity of the image that begins with `beginning`, of whatever version: for a process that looks for a
 * pool and does not open it. A host may have pools of a newer guestmemfs. undefined: no image, or a damaged
 * one.
 */
export function readIdentity(beginning: Uint8Array): Identity | undefined {
  if (beginning.length < HEADER_BYTES || probe(beginning) !== 'image') return undefined
  const header = Buffer.from(beginning.subarray(0, HEADER_BYTES))
  return isWhole(header) ? identityOf(header) : undefined
}

/**
 * The identity of the image that is in `area`, or was there before its formatting was interrupted, of
 * whatever version: the magic word alone is no part of the checksum. undefined: the header is not whole.
 */
export function formerIdentity(area: Uint8Array): Identity | undefined {
  const header = Buffer.from(area.subarray(0, HEADER_BYTES))
  return header.length === HEADER_BYTES && isWhole(header) ? identityOf(header) : undefined
}

/**
 * The image is of the newest version from the first of these two stores on; its bytes are the same in both.
 * Version 1's code refuses it from then on, by the checksum and, after the second store, by the version.
 * `bytes`: the header as it was read. Idempotent.
 */
export function upgradeHeader(writer: AreaWriter, bytes: Uint8Array): void {
  const header = upgraded(bytes)
  for (const word of [FIELD.version, FIELD.crc - 4]) writer.word(word, header.readBigUInt64LE(word))
}

/** The header, and its checksum, as they are after the upgrade. */
function upgraded(bytes: Uint8Array): Buffer {
  const header = Buffer.from(bytes)
  header.writeUInt32LE(NEWEST_VERSION, FIELD.version)
  header.writeUInt32LE(headerCrc(header), FIELD.crc)
  return header
}

function versionOf(header: Buffer): FormatVersion | undefined {
  const version = header.readUInt32LE(FIELD.version)
  return version === 1 || version === 2 ? version : undefined
}

/**
 * Whether the checksum is right. In version 2 it may still be that of version 1, because `upgradeHeader`
 * stores the version first. A server stores a word at once, but this accepts a torn one as well, which begins
 * with bytes of the new one.
 */
function isWhole(header: Buffer): boolean {
  const found = header.readUInt32LE(FIELD.crc)
  const right = headerCrc(header)
  if (versionOf(header) !== 2) return found === right
  const former = Buffer.from(header)
  former.writeUInt32LE(1, FIELD.version)
  const torn = Buffer.alloc(4)
  torn.writeUInt32LE(headerCrc(former))
  const whole = Buffer.alloc(4)
  whole.writeUInt32LE(right)
  return [0, 1, 2, 3, 4].some((stored) => {
    whole.copy(torn, 0, 0, stored)
    return torn.readUInt32LE() === found
  })
}

const identityOf = (header: Buffer): Identity => ({
  poolName: readText(header, FIELD.poolName),
  storeKind: readText(header, FIELD.storeKind),
  totalBlocks: number(header, FIELD.totalBlocks),
  uuid: new Uint8Array(header.subarray(FIELD.uuid, FIELD.uuid + 16)),
})

/** Throws `CorruptBytesError` unless the image was made for the pool it was found in. */
export function checkExpected(identity: Identity, expected: Expected): void {
  if (identity.storeKind !== expected.storeKind) {
    throw new CorruptBytesError(
      `the image belongs to a ${identity.storeKind} store and was found in a ${expected.storeKind} store`,
    )
  }
  if (expected.totalBlocks !== undefined && identity.totalBlocks !== expected.totalBlocks) {
    throw new CorruptBytesError(
      `the image describes a pool of ${identity.totalBlocks} blocks, the store has ${expected.totalBlocks}`,
    )
  }
}

const NOT_AN_IMAGE = {
  blank: 'there is no image: the metadata area is blank',
  unfinished: 'the image was never finished: formatting was interrupted',
  foreign: 'the metadata area does not hold a guestmemfs image',
} as const

/** There is one geometry for each area size; the numbers are stored for other versions to read. */
function readGeometry(header: Buffer, areaBytes: number): Geometry {
  if (number(header, FIELD.areaBytes) !== areaBytes) {
    throw new CorruptBytesError(
      `the image was made for a metadata area of ${number(header, FIELD.areaBytes)} bytes, this one has ${areaBytes}`,
    )
  }
  const geometry = geometryOf(areaBytes)
  const same =
    header.readUInt32LE(FIELD.blockBytes) === BLOCK_BYTES &&
    number(header, FIELD.slotBytes) === geometry.slotBytes &&
    number(header, FIELD.segmentBytes) === geometry.segmentBytes &&
    geometry.slotOffsets.every((offset, side) => number(header, FIELD.slotOffsets + 8 * side) === offset) &&
    geometry.segmentOffsets.every(
      (offset, side) => number(header, FIELD.segmentOffsets + 8 * side) === offset,
    )
  if (!same) throw new CorruptBytesError('the image has a geometry that its format version does not define')
  return geometry
}

/** Without the magic word, which `finishHeader` stores last. */
const headerCrc = (header: Buffer): number => crc32(header.subarray(FIELD.version, FIELD.crc))

const number = (header: Buffer, offset: number): number => Number(header.readBigUInt64LE(offset))

function writeText(header: Buffer, offset: number, text: string, limit: number): void {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length > limit) throw new BrokenInvariantError(`"${text}" is longer than ${limit} bytes`)
  header.writeUInt8(bytes.length, offset)
  header.set(bytes, offset + 1)
}

const readText = (header: Buffer, offset: number): string =>
  header.toString('utf8', offset + 1, offset + 1 + header.readUInt8(offset))
