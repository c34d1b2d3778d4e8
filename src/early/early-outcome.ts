/**
 * What came of the guests of one early start: for the record, from each one's going on, and in words. Must
 * not: decide about a guest.
 */
import { type EarlyRecord, recordedGuest } from '../liveupdate/guest/early-record.ts'
import type { EarlyResult } from '../liveupdate/guest/early-result.ts'
import { vmPaths } from '../run/vm-runtime.ts'
import { formatTimeout } from '../values/duration.ts'
import type { SavedGuest } from './saved-guests.ts'
import { MOST_BEFORE_MOUNT_MS } from './start-early.ts'
import type { StartedGuests } from './start-when-ready.ts'

export class EarlyOutcome {
  readonly #write: (record: EarlyRecord) => void
  readonly #refused = new Set<string>()
  #record: EarlyRecord

  /** `write`: called with the record as it is by then. */
  constructor(beganAtMs: number, write: (record: EarlyRecord) => void) {
    this.#record = { format: 1, beganAtMs, guests: {}, left: [] }
    this.#write = write
  }

  /** `going`: never rejects. Resolves with what it does. */
  async of(
    { definition: { name }, saved }: SavedGuest,
    going: Promise<EarlyResult | undefined>,
  ): Promise<EarlyResult | undefined> {
    const result = await going
    if (result === undefined) this.#refused.add(name)
    else this.#keep({ guests: { ...this.#record.guests, [name]: recordedGuest(saved, result) } })
    return result
  }

  /** `guests`: all that were to go on. Returns one line for each, but for those that were paused. */
  end(guests: readonly SavedGuest[], { started, left }: StartedGuests): readonly string[] {
    const names = guests.map(({ definition }) => definition.name)
    const gone = names.filter((name) => Object.hasOwn(this.#record.guests, name))
    // One that its owner had paused is loaded at most.
    const others = guests.filter(
      ({ definition: { name }, saved }) => saved.wasRunning && !gone.includes(name),
    )
    const lines = others.map(({ definition: { name } }) => {
      const why = left.get(name) ?? this.#whyNot(name, started.has(name))
      return `${name}: ${why}`
    })
    this.#keep({ left: lines })
    return [...gone.map((name) => `${name} went on before the mount`), ...lines]
  }

  #whyNot(name: string, isStarted: boolean): string {
    if (!isStarted) return 'its RAM or its saved state could not be reached'
    if (this.#refused.has(name)) return `no QEMU took it: see ${vmPaths(name).log}`
    return `its QEMU did not have it within ${formatTimeout(MOST_BEFORE_MOUNT_MS)}`
  }

  #keep(change: Partial<EarlyRecord>): void {
    this.#record = { ...this.#record, ...change }
    this.#write(this.#record)
  }
}
