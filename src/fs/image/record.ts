/**
 * One log record: its bytes, and reading the bytes at a place where one may begin. Must not: depend on the
 * records before and after it.
 */
import { crc32 } from 'node:zlib'
import { CorruptBytesError } from '../../values/errors.ts'
import type { Entry, Origin } from '../state/entry.ts'
import { ByteSink } from './byte-sink.ts'
import { ByteSource } from './byte-source.ts'
import { decodeEntry, encodeEntry } from './codec.ts'
import { padded, RECORD } from './image-format.ts'
import { wordOf } from './words.ts'

export interface LogRecord {
  readonly sequence: number
  readonly generation: number
  readonly origin: Origin
  readonly entries: readonly Entry[]
}

/** A record's bytes, apart from its header word, which is stored last and at once. */
export interface EncodedRecord {
  readonly headerWord: bigint
  /** Body and padding; a multiple of 8. Valid until the next record is encoded. */
  readonly body: Uint8Array
}

/** How many bytes a record with entries of `entryBytes` takes in the log. */
export const recordBytes = (entryBytes: number): number => RECORD.entries + padded(entryBytes)

const scratch = new ByteSink()

export function encodeRecord(record: LogRecord): EncodedRecord {
  scratch.clear()
  scratch.u64(BigInt(record.sequence))
  scratch.u32(record.generation)
  scratch.u32(record.entries.length)
  scratch.u64(record.origin.unique)
  scratch.u64(BigInt(record.origin.epoch))
  for (const entry of record.entries) encodeEntry(entry, scratch)
  const length = scratch.length
  const headerWord = wordOf(length, crc32(scratch.view()))
  scratch.pad()
  return { headerWord, body: scratch.view() }
}

/** What is at a place where a record may begin: nothing, bytes that are not a whole record, or a record. */
export type Found =
  | { readonly kind: 'end' }
  | { readonly kind: 'invalid'; readonly why: string }
  | { readonly kind: 'record'; readonly record: LogRecord; readonly bytes: number }

/**
 * `room`: the bytes from where the record may begin to the end of its segment; the word after a record is in
 * it.
 */
export function readRecord(room: Uint8Array): Found {
  const view = new DataView(room.buffer, room.byteOffset, room.byteLength)
  const length = view.getUint32(RECORD.headerWord, true)
  const crc = view.getUint32(RECORD.headerWord + 4, true)
  if (length === 0 && crc === 0) return { kind: 'end' }
  if (length < RECORD.entries - RECORD.body)
    return { kind: 'invalid', why: `a record of ${length} bytes is too short` }
  if (RECORD.body + padded(length) + 8 > room.length) {
    return { kind: 'invalid', why: `a record of ${length} bytes leaves its segment` }
  }
  const body = room.subarray(RECORD.body, RECORD.body + length)
  if (crc32(body) !== crc) return { kind: 'invalid', why: 'a record fails its checksum' }
  return { kind: 'record', record: decodeRecord(body), bytes: RECORD.body + padded(length) }
}

/** `body` passed its checksum: where it does not decode, its writer was wrong, and no crash has torn it. */
function decodeRecord(body: Uint8Array): LogRecord {
  const from = new ByteSource(body)
  const sequence = Number(from.u64())
  const generation = from.u32()
  let left = from.u32()
  const origin = { unique: from.u64(), epoch: Number(from.u64()) }
  const entries: Entry[] = []
  for (; left > 0; left--) entries.push(decodeEntry(from))
  if (!from.exhausted) throw new CorruptBytesError('a record holds bytes after its last entry')
  return { sequence, generation, origin, entries }
}
