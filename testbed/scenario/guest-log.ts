/**
 * The verdict on a guest's ticks, seen from outside the host: whether they are one unbroken run, and the
 * longest silence. By the clock outside the host, which no kexec stops; it is as exact as the delay of a line
 * (some 10 ms under emulation). In a kernel whose agent comes late, that of its console's lines, where it
 * tells them (machine/console-ticks.ts).
 */
import { findBreak, firstBadWord, readTicks, type Tick } from '../guests/ticks.ts'
import type { Log } from '../machine/log.ts'
import type { GuestEvidence } from './verdict.ts'

export interface Continuity {
  readonly ticks: number
  /** The tick before the longest silence and the one after it. */
  readonly before: number
  readonly after: number
  readonly badWords: number
  /** Words that the guest found right when it computed them again (guests/pattern.ts). */
  readonly computedAgain: number
  readonly silenceMs: number
  /** Every silence of more than a second, in order: the last one before a break may show its cause. */
  readonly silences: readonly { readonly before: number; readonly ms: number }[]
  /** The first fault, if there is one. */
  readonly broken: string | undefined
}

const LONG_SILENCE_MS = 1000
/** As `readTicks` reads them: any line that ends in a tick. */
const TICK_LINE = /tick (\d+) bad \d+\r?\n/g

export class GuestLog {
  readonly log: Log
  readonly #toldAtMs: (tick: number) => number | undefined

  /** `toldAtMs`: when the console had told a tick. */
  constructor(log: Log, toldAtMs: (tick: number) => number | undefined = () => undefined) {
    this.log = log
    this.#toldAtMs = toldAtMs
  }

  get ticks(): Tick[] {
    return readTicks(this.log.text)
  }

  /** Waits until the guest has made `more` ticks from here on. */
  async waitForTicks(more: number, timeoutMs = 180_000): Promise<void> {
    const from = this.log.text.length
    await this.log.waitFor(new RegExp(`(?:tick \\d+ bad \\d+\\r?\\n[^]*?){${more}}`), { from, timeoutMs })
  }

  /** For the verdict. */
  evidence(): GuestEvidence {
    const arrivals = this.#arrivals()
    const ticks = this.ticks.map((tick, index) => ({ ...tick, atMs: arrivals[index] ?? 0 }))
    return { name: this.log.name, ticks }
  }

  #arrivals(): number[] {
    return [...this.log.text.matchAll(TICK_LINE)].map(({ index, 0: line, 1: tick }) => {
      const arrivedAtMs = this.log.arrivalOf(index + line.length - 1) ?? 0
      return Math.min(arrivedAtMs, this.#toldAtMs(Number(tick)) ?? arrivedAtMs)
    })
  }

  #broken(ticks: readonly Tick[]): string | undefined {
    const broken = findBreak(ticks)
    return broken && `${broken}${firstBadWord(this.log.text)}`
  }

  continuity(): Continuity {
    const ticks = this.ticks
    const arrivals = this.#arrivals()
    const gaps = arrivals.slice(1).map((at, index) => at - (arrivals[index] as number))
    const silenceMs = Math.max(0, ...gaps)
    const longest = gaps.indexOf(silenceMs)
    return {
      ticks: ticks.length,
      before: ticks[longest]?.number ?? 0,
      after: ticks[longest + 1]?.number ?? 0,
      badWords: ticks.at(-1)?.bad ?? 0,
      computedAgain: Number(/^computed again (\d+)/m.exec(this.log.text)?.[1] ?? 0),
      silenceMs: Math.round(silenceMs),
      silences: gaps.flatMap((ms, index) =>
        ms < LONG_SILENCE_MS ? [] : [{ before: ticks[index]?.number ?? 0, ms: Math.round(ms) }],
      ),
      broken: ticks.length === 0 ? 'no tick was seen' : this.#broken(ticks),
    }
  }
}
