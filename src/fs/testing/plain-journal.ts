/**
 * A journal for tests of decisions: it keeps the records in a list, which ends with this process. `limit`
 * records fit; `replay` rebuilds a state from them, as a recovery would.
 */
import { type FormatVersion, NEWEST_VERSION } from '../image/image-format.ts'
import type { Entry, Origin } from '../state/entry.ts'
import type { Journal } from '../state/journal.ts'
import { State } from '../state/state.ts'

export interface CommittedRecord {
  readonly origin: Origin
  readonly entries: readonly Entry[]
}

export class PlainJournal implements Journal {
  readonly state: State
  readonly generation = 1
  version: FormatVersion = NEWEST_VERSION
  readonly identity
  readonly records: CommittedRecord[] = []
  /** How many records fit. */
  limit = Number.POSITIVE_INFINITY
  readonly #first: readonly Entry[]

  constructor(totalBlocks: number, state: State = State.fresh({ seconds: 0, nanoseconds: 0 })) {
    this.state = state
    this.#first = [...state.entries()]
    this.identity = { poolName: 'test', storeKind: 'memfd', totalBlocks, uuid: new Uint8Array(16).fill(0xab) }
  }

  get lastOrigin(): Origin | undefined {
    return (this.records.findLast(({ origin }) => origin.unique !== 0n) ?? this.records.at(-1))?.origin
  }

  get lastEntries(): readonly Entry[] {
    return this.records.at(-1)?.entries ?? []
  }

  upgrade(): void {
    this.version = NEWEST_VERSION
  }

  fits(): boolean {
    return this.records.length < this.limit
  }

  commit(origin: Origin, entries: readonly Entry[]): void {
    if (!this.fits()) throw new Error('commit without asking whether it fits')
    this.records.push({ origin, entries })
    for (const entry of entries) this.state.apply(entry)
  }

  /** A journal that found the first `count` records of this one, and nothing after them. */
  replay(count = this.records.length): PlainJournal {
    const state = new State()
    for (const entry of this.#first) state.apply(entry)
    const next = new PlainJournal(this.identity.totalBlocks, state)
    for (const { origin, entries } of this.records.slice(0, count)) next.commit(origin, entries)
    return next
  }
}
