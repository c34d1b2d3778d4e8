/**
 * What happened, in order: each store into the image, each change of the memory under it, each record that
 * was made. A crash is a place in this list: what stands before it happened, what stands behind it did not.
 */

import type { FileData, GuestRam, Placement, Store, StoreDescriptor } from '../../../stores/store.ts'
import type { ObjectId } from '../../../values/ids.ts'
import { Refusal, type Wait } from '../../../values/refusal.ts'
import { SEEK_HOLE } from '../../../values/uapi.ts'
import type { Image } from '../../image/image.ts'
import type { FormatVersion } from '../../image/image-format.ts'
import type { TracedStore } from '../../image/writer.ts'
import type { Entry, Origin } from '../../state/entry.ts'
import type { Journal } from '../../state/journal.ts'
import type { State } from '../../state/state.ts'
import type { MemoryStore } from '../memory-store.ts'
import { digest } from './shown-contents.ts'

export type Event =
  | { readonly kind: 'store'; readonly store: TracedStore }
  /** The memory as it is now. */
  | { readonly kind: 'memory'; readonly memory: MemoryStore }
  /** A record is complete: what the image says from here on. */
  | { readonly kind: 'record'; readonly moment: Moment }

/** What must be found again: the state, by its digest, and the request that was applied last. */
export interface Moment {
  readonly state: number
  readonly lastRequest: bigint | undefined
}

export const momentOf = ({ state, lastOrigin }: Pick<Journal, 'state' | 'lastOrigin'>): Moment => ({
  state: digest(state),
  lastRequest: lastOrigin?.unique,
})

/** What a killed server leaves: the image's bytes and the memory. */
export interface ServerRemains {
  readonly area: Uint8Array
  readonly memory: MemoryStore
}

export const copyOf = ({ area, memory }: ServerRemains): ServerRemains => ({
  area: area.slice(),
  memory: memory.clone(),
})

/**
 * Goes through every crash between two of `events`, which began at `remains`: `visit` sees what each leaves,
 * the event that was the last, and the one that would have been next. `remains.area` is used up.
 */
export function replayEvents(
  { area, memory }: ServerRemains,
  events: readonly Event[],
  visit: (remains: ServerRemains, done: Event | undefined, next: Event | undefined) => void,
): void {
  let now = memory
  visit({ area, memory: now }, undefined, events[0])
  for (const [index, event] of events.entries()) {
    if (event.kind === 'store') area.set(event.store.bytes, event.store.offset)
    if (event.kind === 'memory') now = event.memory
    visit({ area, memory: now }, event, events[index + 1])
  }
}

/** Mistakes a file system could make, to prove that they are noticed. */
export interface Mistakes {
  /** Freed blocks are called clean though they hold a former owner's bytes. */
  readonly callsDirtyClean?: boolean
  /** Memory that shrinks keeps the bytes that were cut off. */
  readonly keepsCutBytes?: boolean
  /** The zeroing worker reports blocks it did not zero. */
  readonly skipsZeroing?: boolean
}

/** The journal of the file system under test. */
export class RecordedJournal implements Journal {
  readonly #image: Image<State>
  readonly #events: Event[]
  readonly #mistakes: Mistakes

  constructor(image: Image<State>, events: Event[], mistakes: Mistakes = {}) {
    this.#image = image
    this.#events = events
    this.#mistakes = mistakes
  }

  get state(): State {
    return this.#image.state
  }
  get identity() {
    return this.#image.identity
  }
  get version(): FormatVersion {
    return this.#image.version
  }
  get generation(): number {
    return this.#image.generation
  }
  get lastOrigin(): Origin | undefined {
    return this.#image.lastOrigin
  }
  get lastEntries(): readonly Entry[] {
    return this.#image.lastEntries
  }

  upgrade(): void {
    this.#image.upgrade()
  }

  fits(entries: readonly Entry[]): boolean {
    return this.#image.fits(entries)
  }

  commit(origin: Origin, entries: readonly Entry[]): void {
    this.#image.commit(origin, this.#mistakes.callsDirtyClean ? entries.map(calledClean) : entries)
    this.#events.push({ kind: 'record', moment: momentOf(this.#image) })
  }
}

const calledClean = (entry: Entry): Entry =>
  entry.kind === 'blocks' && entry.state === 'dirty' ? { ...entry, state: 'clean' } : entry

/** The store of the file system under test: every change of the memory is one event. */
export class RecordedStore implements Store, FileData {
  readonly memory: MemoryStore
  readonly #events: Event[]
  readonly #mistakes: Mistakes

  constructor(memory: MemoryStore, events: Event[], mistakes: Mistakes = {}) {
    this.memory = memory
    this.#events = events
    this.#mistakes = mistakes
  }

  get descriptor(): StoreDescriptor {
    return this.memory.descriptor
  }
  get ram(): GuestRam {
    return this.memory.ram
  }
  get data(): FileData {
    return this
  }
  get hostMemory(): Store['hostMemory'] {
    return this.memory.hostMemory
  }
  state(): 'present' {
    return 'present'
  }
  adopt(): void {}

  create(): ObjectId | Refusal {
    return this.#changed(this.memory.create())
  }
  resize(object: ObjectId, to: Placement): Refusal | undefined {
    if (this.#mistakes.keepsCutBytes && to.sizeBytes < this.#sizeOf(object)) return undefined
    return this.#changed(this.memory.resize(object, to))
  }
  release(object: ObjectId): void {
    this.#changed(this.memory.release(object))
  }
  write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal {
    return this.#changed(this.memory.write(object, offset, from))
  }
  punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined {
    return this.#changed(this.memory.punchHole(object, offset, length))
  }
  /** What the zeroing worker does, one block at a time. */
  zero({ start, count }: { start: number; count: number }): void {
    if (this.#mistakes.skipsZeroing) return
    for (let block = start; block < start + count; block++)
      this.#changed(this.memory.zero({ start: block, count: 1 }))
  }

  isHeld(object: ObjectId): boolean | Wait {
    return this.memory.isHeld(object)
  }
  objects(): Iterable<ObjectId> {
    return this.memory.objects()
  }
  read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal {
    return this.memory.read(object, offset, into)
  }
  seek(object: ObjectId, offset: number, whence: number): number | Refusal {
    return this.memory.seek(object, offset, whence)
  }
  metadataArea(): Uint8Array {
    return this.memory.metadataArea()
  }

  /** An object without holes ends where its first hole begins. */
  #sizeOf(object: ObjectId): number {
    const end = this.memory.seek(object, 0, SEEK_HOLE)
    return end instanceof Refusal ? 0 : end
  }

  #changed<T>(result: T): T {
    if (!(result instanceof Refusal)) this.#events.push({ kind: 'memory', memory: this.memory.clone() })
    return result
  }
}
