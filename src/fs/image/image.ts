/**
 * The persistent image of one pool: the order of stores by which an operation becomes permanent. Must not:
 * decide what an operation does, or read the area once it is open.
 *
 * commit: log record complete → state changed → a bounded step of checkpointing. When the active segment has
 * taken as much as the state is large, the next commit moves on to the other segment and begins a checkpoint
 * into the other slot; it is written in proportion to what is logged (image-format.ts, CHECKPOINT_PACE).
 *
 * An image keeps the version it has until `upgrade`; entries that version 1 does not have are never committed
 * to it.
 */
import { BrokenInvariantError } from '../../values/errors.ts'
import { KIB } from '../../values/units.ts'
import type { Entry, Origin } from '../state/entry.ts'
import { CheckpointWriter } from './checkpoint.ts'
import { fitsVersion } from './codec.ts'
import {
  beginHeader,
  checkExpected,
  type Expected,
  finishHeader,
  type Header,
  type Identity,
  readHeader,
  upgradeHeader,
} from './header.ts'
import {
  CHECKPOINT_PACE,
  type FormatVersion,
  type Geometry,
  geometryOf,
  NEWEST_VERSION,
} from './image-format.ts'
import type { ImageState } from './image-state.ts'
import { recordBytes } from './record.ts'
import { type Recovered, recoverImage } from './recovery.ts'
import { Segment } from './segment.ts'
import { entryBytes, StateSize } from './state-size.ts'
import { AreaWriter, type Trace } from './writer.ts'

const FIRST_GENERATION = 1
/** A log this short is not worth a checkpoint, however small the state. */
const SHORTEST_LOG_BYTES = 256 * KIB
/**
 * The last part of the room for the state, as a fraction, that only operations which add nothing new may use.
 */
const RESERVE_FRACTION = 16

interface Measure {
  readonly entries: readonly Entry[]
  readonly sizes: readonly number[]
  readonly record: number
}

export class Image<S extends ImageState = ImageState> {
  readonly state: S
  readonly identity: Identity
  readonly #writer: AreaWriter
  readonly #header: Header
  readonly #geometry: Geometry
  readonly #size: StateSize
  #segment: Segment
  #nextSequence: number
  /** The checkpoint under way, and how much was logged since it began. */
  #checkpoint: CheckpointWriter | undefined
  #loggedBytes = 0
  #lastOrigin: Origin | undefined
  #lastEntries: readonly Entry[]
  #measured: Measure | undefined
  #version: FormatVersion

  private constructor(writer: AreaWriter, header: Header, found: Recovered, state: S) {
    const { geometry } = header
    this.#writer = writer
    this.#header = header
    this.#geometry = geometry
    this.identity = header.identity
    this.#version = header.version
    this.state = state
    this.#size = new StateSize()
    for (const entry of found.fold.entries()) {
      this.#size.add(entry, entryBytes(entry))
      state.apply(entry)
    }
    this.#nextSequence = found.nextSequence
    this.#lastOrigin = found.records.at(-1)?.origin
    this.#lastEntries = found.records.at(-1)?.entries ?? []
    if (header.isHalfUpgraded) upgradeHeader(writer, header.bytes)
    this.#segment = Segment.resume(writer, geometry, found.activeGeneration, found.active)
    if (found.activeGeneration > found.checkpointGeneration) this.#resumeCheckpoint(found)
  }

  /**
   * Makes `area` an image of `state`, whatever it held before. Until the last store it is none. Throws
   * `UsageError` if the area's size cannot hold an image.
   */
  static format(
    area: Uint8Array,
    identity: Identity,
    state: ImageState,
    { version = NEWEST_VERSION, trace }: { version?: FormatVersion; trace?: Trace } = {},
  ): void {
    const geometry = geometryOf(area.length)
    const writer = new AreaWriter(area, trace)
    beginHeader(writer)
    for (const offset of [...geometry.slotOffsets, ...geometry.segmentOffsets]) writer.word(offset, 0n)
    Segment.begin(writer, geometry, FIRST_GENERATION)
    new CheckpointWriter(writer, geometry, FIRST_GENERATION, 1, state.entries()).advance(
      Number.POSITIVE_INFINITY,
    )
    finishHeader(writer, geometry, identity, version)
  }

  /**
   * Opens the image in `area`, and brings `emptyState` to the state that it holds. Throws
   * `CorruptBytesError`, having changed nothing, if the area holds no image, one of another version or pool,
   * or one that lost acknowledged bytes.
   */
  static open<S extends ImageState>(
    area: Uint8Array,
    expected: Expected,
    emptyState: S,
    trace?: Trace,
  ): Image<S> {
    const header = readHeader(area)
    checkExpected(header.identity, expected)
    const found = recoverImage(area, header.geometry)
    return new Image(new AreaWriter(area, trace), header, found, emptyState)
  }

  /** As `open`, without a store into `area`: another process may write to it. Throws the same. */
  static read(area: Uint8Array, expected: Expected, emptyState: ImageState): Identity {
    const { identity, geometry } = readHeader(area)
    checkExpected(identity, expected)
    for (const entry of recoverImage(area, geometry).fold.entries()) emptyState.apply(entry)
    return identity
  }

  get version(): FormatVersion {
    return this.#version
  }

  /** The image is of the newest version when this returns: former code refuses it, and leaves it as it is. */
  upgrade(): void {
    if (this.#version === NEWEST_VERSION) return
    upgradeHeader(this.#writer, this.#header.bytes)
    this.#version = NEWEST_VERSION
  }

  /** Of the segment that is appended to. */
  get generation(): number {
    return this.#segment.generation
  }

  /** The last request that changed anything: it may be applied and unanswered. */
  get lastOrigin(): Origin | undefined {
    return this.#lastOrigin
  }

  /** What the last record did. */
  get lastEntries(): readonly Entry[] {
    return this.#lastEntries
  }

  /**
   * Whether `commit` of these entries is sure to succeed. The caller asks before it does anything; false
   * means ENOSPC.
   */
  fits(entries: readonly Entry[]): boolean {
    const { sizes, record } = this.#measure(entries)
    if (record > this.#geometry.recordLimitBytes) return false
    const { growthBytes, newKeys } = this.#size.forecast(entries, sizes)
    if (growthBytes <= 0) return true
    const limit = this.#geometry.stateLimitBytes
    const reserve = newKeys > 0 ? limit / RESERVE_FRACTION : 0
    return this.#size.totalBytes + growthBytes <= limit - reserve
  }

  /** The entries are permanent when this returns, and the state has them. `fits` must have returned true. */
  commit(origin: Origin, entries: readonly Entry[]): void {
    const { sizes, record } = this.#measure(entries)
    if (record > this.#geometry.recordLimitBytes) {
      throw new BrokenInvariantError(`a record of ${record} bytes is larger than one may be`)
    }
    const due = this.#checkpoint === undefined && this.#segment.usedBytes >= this.#logTargetBytes()
    if (due) this.#beginGeneration()
    // A successor must find which request was applied last: the record of the server's own work repeats that
    // one.
    const requested = origin.unique === 0n ? (this.#lastOrigin ?? origin) : origin
    this.#segment.append({
      sequence: this.#nextSequence,
      generation: this.#segment.generation,
      origin: requested,
      entries,
    })
    this.#nextSequence++
    entries.forEach((entry, index) => {
      this.#size.add(entry, sizes[index] ?? 0)
      this.state.apply(entry)
    })
    this.#lastOrigin = requested
    this.#lastEntries = entries
    this.#advanceCheckpoint(record)
  }

  /**
   * Encoded bytes of each entry and of a record of them all; `commit` is called with the list that `fits` has
   * just measured.
   */
  #measure(entries: readonly Entry[]): Measure {
    if (this.#measured?.entries !== entries) {
      if (!entries.every((entry) => fitsVersion(this.#version, entry)))
        throw new BrokenInvariantError(`format version ${this.#version} cannot hold what is to be committed`)
      const sizes = entries.map(entryBytes)
      const sum = sizes.reduce((total, bytes) => total + bytes, 0)
      this.#measured = { entries, sizes, record: recordBytes(sum) }
    }
    return this.#measured
  }

  /**
   * A log as long as the state is large: recovery reads at most twice the state, and a logged byte costs
   * about one byte of checkpoint.
   */
  #logTargetBytes(): number {
    return Math.min(Math.max(this.#size.totalBytes, SHORTEST_LOG_BYTES), this.#geometry.segmentBytes / 2)
  }

  /** The slot is invalidated first, so that two complete checkpoints always follow one another. */
  #beginGeneration(): void {
    const generation = this.#segment.generation + 1
    this.#beginCheckpoint(generation, this.#nextSequence)
    this.#segment = Segment.begin(this.#writer, this.#geometry, generation)
  }

  #beginCheckpoint(generation: number, firstSequence: number): void {
    const entries = this.state.entries()
    this.#checkpoint = new CheckpointWriter(this.#writer, this.#geometry, generation, firstSequence, entries)
    this.#loggedBytes = 0
  }

  #advanceCheckpoint(loggedBytes: number): void {
    if (this.#checkpoint === undefined) return
    this.#loggedBytes += loggedBytes
    this.#checkpoint.advance(this.#loggedBytes * CHECKPOINT_PACE)
    if (this.#checkpoint.complete) this.#checkpoint = undefined
  }

  /**
   * Begins the checkpoint that was under way again. If repeated crashes let the segment fill beyond where a
   * checkpoint may begin, this writes it at once: its cost is that of the recovery that was just done.
   */
  #resumeCheckpoint(found: Recovered): void {
    this.#beginCheckpoint(found.activeGeneration, found.firstSequence)
    if (this.#segment.usedBytes <= this.#geometry.segmentBytes / 2) return
    this.#checkpoint?.advance(Number.POSITIVE_INFINITY)
    this.#checkpoint = undefined
  }
}
