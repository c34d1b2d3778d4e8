/**
 * One checkpoint: writing it into a slot a slice at a time, and reading a complete one back. Must not: use
 * anything of the log but the sequence number at which the log of its generation begins.
 */
import { crc32 } from 'node:zlib'
import { BrokenInvariantError, CorruptBytesError } from '../../values/errors.ts'
import type { Entry } from '../state/entry.ts'
import { ByteSink } from './byte-sink.ts'
import { ByteSource } from './byte-source.ts'
import { decodeEntry, encodeEntry } from './codec.ts'
import { type Geometry, SLOT, sideOf, slotOf } from './image-format.ts'
import { dataViewOf, wordOf } from './words.ts'
import type { AreaWriter } from './writer.ts'

const scratch = new ByteSink()

/** A checkpoint under way. Nothing of it counts until its commit word is stored. */
export class CheckpointWriter {
  readonly generation: number
  readonly #writer: AreaWriter
  readonly #slot: number
  readonly #limit: number
  readonly #firstSequence: number
  readonly #entries: Iterator<Entry>
  #bodyBytes = 0
  #entryCount = 0
  #crc = 0
  #complete = false

  /**
   * Invalidates what was in the slot of `generation` by its first store. `advance` takes from `entries` as it
   * writes slices.
   */
  constructor(
    writer: AreaWriter,
    geometry: Geometry,
    generation: number,
    firstSequence: number,
    entries: Iterator<Entry>,
  ) {
    this.generation = generation
    this.#writer = writer
    this.#slot = slotOf(geometry, generation)
    this.#limit = geometry.slotBytes - SLOT.body
    this.#firstSequence = firstSequence
    this.#entries = entries
    writer.word(this.#slot + SLOT.commitWord, 0n)
  }

  get complete(): boolean {
    return this.#complete
  }

  /** Writes entries until the body has `targetBytes` or more, or is done and the checkpoint complete. */
  advance(targetBytes: number): void {
    scratch.clear()
    let done = false
    while (!done && this.#bodyBytes + scratch.length < targetBytes) {
      const next = this.#entries.next()
      if (next.done === true) done = true
      else if (isStated(next.value)) {
        encodeEntry(next.value, scratch)
        this.#entryCount++
      }
    }
    this.#append(scratch.view())
    if (done) this.#finish()
  }

  #append(slice: Uint8Array): void {
    if (this.#bodyBytes + slice.length > this.#limit) {
      throw new BrokenInvariantError(`checkpoint ${this.generation} does not fit its slot`)
    }
    if (slice.length === 0) return
    this.#writer.bytes(this.#slot + SLOT.body + this.#bodyBytes, slice)
    this.#crc = crc32(slice, this.#crc)
    this.#bodyBytes += slice.length
  }

  #finish(): void {
    const fields = Buffer.alloc(SLOT.body)
    fields.writeBigUInt64LE(BigInt(this.#bodyBytes), SLOT.bodyBytes)
    fields.writeBigUInt64LE(BigInt(this.#firstSequence), SLOT.firstSequence)
    fields.writeUInt32LE(this.#entryCount, SLOT.entryCount)
    fields.writeUInt32LE(this.#crc, SLOT.bodyCrc)
    this.#writer.bytes(this.#slot + SLOT.bodyBytes, fields.subarray(SLOT.bodyBytes))
    this.#writer.word(
      this.#slot + SLOT.commitWord,
      wordOf(this.generation, commitCrc(fields, this.generation)),
    )
    this.#complete = true
  }
}

/** Clean blocks are what every recovery starts from: stating them would only take room. */
const isStated = (entry: Entry): boolean => entry.kind !== 'blocks' || entry.state !== 'clean'

/** The commit word covers the slot's fields, and the fields the body: nothing in a slot is unchecked. */
const commitCrc = (fields: Uint8Array, generation: number): number =>
  crc32(fields.subarray(SLOT.bodyBytes, SLOT.body), generation)

/**
 * `unfinished`: the commit word is zero or not a whole one; the checkpoint never counted, or counts no more.
 */
export type SlotState =
  | { readonly kind: 'unfinished'; readonly blank: boolean }
  | { readonly kind: 'complete'; readonly generation: number }

export function readSlotState(area: Uint8Array, geometry: Geometry, side: 0 | 1): SlotState {
  const offset = geometry.slotOffsets[side]
  const fields = area.subarray(offset, offset + SLOT.body)
  const generation = dataViewOf(fields).getUint32(SLOT.commitWord, true)
  const crc = dataViewOf(fields).getUint32(SLOT.commitWord + 4, true)
  const whole = generation > 0 && crc === commitCrc(fields, generation) && sideOf(generation) === side
  return whole
    ? { kind: 'complete', generation }
    : { kind: 'unfinished', blank: generation === 0 && crc === 0 }
}

/** A complete checkpoint's entries, in the order they were written. Throws `CorruptBytesError`. */
export function readCheckpoint(
  area: Uint8Array,
  geometry: Geometry,
  generation: number,
): { firstSequence: number; entries: Entry[] } {
  const offset = slotOf(geometry, generation)
  const fields = dataViewOf(area.subarray(offset, offset + SLOT.body))
  const bodyBytes = Number(fields.getBigUint64(SLOT.bodyBytes, true))
  if (bodyBytes > geometry.slotBytes - SLOT.body) {
    throw new CorruptBytesError(`checkpoint ${generation} is larger than its slot`)
  }
  const body = area.subarray(offset + SLOT.body, offset + SLOT.body + bodyBytes)
  if (crc32(body) !== fields.getUint32(SLOT.bodyCrc, true)) {
    throw new CorruptBytesError(`checkpoint ${generation} fails its checksum`)
  }
  const from = new ByteSource(body)
  const entries: Entry[] = []
  for (let left = fields.getUint32(SLOT.entryCount, true); left > 0; left--) entries.push(decodeEntry(from))
  if (!from.exhausted)
    throw new CorruptBytesError(`checkpoint ${generation} holds bytes after its last entry`)
  return { firstSequence: Number(fields.getBigUint64(SLOT.firstSequence, true)), entries }
}
