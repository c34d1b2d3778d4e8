/**
 * One log segment: appending records to it and reading them back. Must not: depend on checkpoints, or
 * interpret the entries.
 *
 * The log always ends in a zero word: `append` zeroes the word after a record before it stores the body, and
 * stores the record's own header word, still zero from the record before, last. So bytes of an older log, or
 * bytes that a caller chose (an xattr's value), never stand where a record could begin. Then the tail word
 * moves past the record: what is below a valid tail was complete once, and can only be corrupt, not torn.
 */
import { BrokenInvariantError, CorruptBytesError } from '../../values/errors.ts'
import { type Geometry, RECORD, SEGMENT, segmentOf } from './image-format.ts'
import { encodeRecord, type LogRecord, readRecord } from './record.ts'
import { checkedWord, dataViewOf, readCheckedWord, type Word } from './words.ts'
import type { AreaWriter } from './writer.ts'

/** Where a segment stands: `end` is the offset in the segment at which the next record begins. */
export interface SegmentContent {
  readonly records: readonly LogRecord[]
  readonly end: number
  /** The segment's words are not yet as an undamaged segment has them; `Segment.resume` repairs it. */
  readonly torn: boolean
}

export class Segment {
  readonly generation: number
  readonly #writer: AreaWriter
  readonly #offset: number
  readonly #limit: number
  #end: number

  private constructor(writer: AreaWriter, geometry: Geometry, generation: number, end: number) {
    this.generation = generation
    this.#writer = writer
    this.#offset = segmentOf(geometry, generation)
    this.#limit = geometry.segmentBytes - RECORD.body
    this.#end = end
  }

  /** Makes the segment of `generation` empty. Recovery finds it begun from the last of these stores on. */
  static begin(writer: AreaWriter, geometry: Geometry, generation: number): Segment {
    const segment = new Segment(writer, geometry, generation, SEGMENT.firstRecord)
    writer.word(segment.#offset + SEGMENT.firstRecord, 0n)
    writer.word(segment.#offset + SEGMENT.tailWord, checkedWord(SEGMENT.firstRecord))
    writer.word(segment.#offset + SEGMENT.generationWord, checkedWord(generation))
    return segment
  }

  /** Continues after `content`, which `readSegment` found. Repairs a torn end first. */
  static resume(
    writer: AreaWriter,
    geometry: Geometry,
    generation: number,
    content: SegmentContent,
  ): Segment {
    const segment = new Segment(writer, geometry, generation, content.end)
    if (content.torn) {
      writer.word(segment.#offset + content.end, 0n)
      writer.word(segment.#offset + SEGMENT.tailWord, checkedWord(content.end))
    }
    return segment
  }

  /** Bytes in use, its own two words included. */
  get usedBytes(): number {
    return this.#end
  }

  /** The record is acknowledged when this returns. Returns the bytes it takes. */
  append(record: LogRecord): number {
    const { headerWord, body } = encodeRecord(record)
    const start = this.#offset + this.#end
    const next = this.#end + RECORD.body + body.length
    if (next > this.#limit) throw new BrokenInvariantError(`log segment ${this.generation} is full`)
    this.#writer.word(this.#offset + next, 0n)
    this.#writer.bytes(start + RECORD.body, body)
    this.#writer.word(start, headerWord)
    this.#writer.word(this.#offset + SEGMENT.tailWord, checkedWord(next))
    this.#end = next
    return RECORD.body + body.length
  }
}

export const readGenerationWord = (area: Uint8Array, segmentOffset: number): Word =>
  readCheckedWord(dataViewOf(area), segmentOffset + SEGMENT.generationWord)

/** True if no record was stored since the segment was last begun. */
export const isEmptySegment = (area: Uint8Array, segmentOffset: number): boolean =>
  dataViewOf(area).getBigUint64(segmentOffset + SEGMENT.firstRecord, true) === 0n

/**
 * All records of the segment of `generation`, the first of which has `firstSequence`. Throws
 * `CorruptBytesError` if one that was acknowledged is not whole, or one is there that cannot be.
 */
export function readSegment(
  area: Uint8Array,
  geometry: Geometry,
  generation: number,
  firstSequence: number,
): SegmentContent {
  const offset = segmentOf(geometry, generation)
  const segment = area.subarray(offset, offset + geometry.segmentBytes)
  const tail = readTail(segment)
  const records: LogRecord[] = []
  let end: number = SEGMENT.firstRecord
  for (;;) {
    const found = readRecord(segment.subarray(end))
    const where = `log segment ${generation}, offset ${end}`
    // Without a valid tail only a clean end is accepted: its word was torn, all else was complete before.
    const acknowledged = tail === undefined ? found.kind !== 'end' : end < tail
    if (found.kind === 'end' && acknowledged)
      throw new CorruptBytesError(`${where}: an acknowledged record is missing`)
    if (found.kind === 'invalid' && acknowledged) throw new CorruptBytesError(`${where}: ${found.why}`)
    if (found.kind !== 'record') return { records, end, torn: found.kind === 'invalid' || end !== tail }
    const { record } = found
    const sequence = firstSequence + records.length
    if (record.generation !== generation || record.sequence !== sequence) {
      throw new CorruptBytesError(
        `${where}: record ${record.sequence} of generation ${record.generation} stands where ${sequence} is due`,
      )
    }
    records.push(record)
    end += found.bytes
  }
}

/** The offset in the segment up to which records were acknowledged; undefined if the word is not valid. */
function readTail(segment: Uint8Array): number | undefined {
  const word = readCheckedWord(dataViewOf(segment), SEGMENT.tailWord)
  if (word.kind !== 'value') return undefined
  const { value } = word
  return value % 8 === 0 && value >= SEGMENT.firstRecord && value <= segment.length - RECORD.body
    ? value
    : undefined
}
