/**
 * Ticks of guests on the console of their host. A boot whose script runs alone has no agent until that script
 * has ended, so the first ticks in the next kernel would come late, and the more so the longer the script
 * goes on after the guests run. tail(1), which starts in a fraction of the time, prints them meanwhile.
 */
import { LOGS } from '../guests/qemu.ts'

/** As `tail -v` begins the lines of each file. */
const HEADER = /^==> (\S+) <==$/
/** A message of the kernel may come into a line: that line is none, and the next tick tells. */
const TICK = /^tick (\d+) bad \d+$/

/**
 * The last file of its line, which is never made: tail begins with it as the file of the line before, so that
 * the first lines of the last file would have no header (tail_forever_inotify, src/tail.c of coreutils).
 */
const NO_LOG = 'none'

/** For a script at boot, before it starts anything: tells the ticks of these guests until `STOP_TELLING`. */
export const tellTicks = (guests: readonly string[]): string =>
  `tail -v -n +1 -F ${[...guests, NO_LOG].map((name) => `${LOGS}/${name}`).join(' ')} </dev/null >/dev/console 2>/dev/null &`

export const STOP_TELLING = 'pkill -x tail || true'

export class ConsoleTicks {
  readonly #told = new Map<string, { readonly tick: number; readonly atMs: number }[]>()
  #name = ''

  /** Each whole line of the console. */
  read(line: string, nowMs: number): void {
    const [, path] = HEADER.exec(line) ?? []
    if (path !== undefined) this.#name = path.slice(path.lastIndexOf('/') + 1)
    const [, tick] = TICK.exec(line) ?? []
    if (tick === undefined) return
    const ticks = this.#told.get(this.#name) ?? []
    this.#told.set(this.#name, [...ticks, { tick: Number(tick), atMs: nowMs }])
  }

  /** When this tick of the guest, or a later one, was told first; undefined: none of them was. */
  toldAtMs(guest: string, tick: number): number | undefined {
    const times = (this.#told.get(guest) ?? []).flatMap((told) => (told.tick >= tick ? [told.atMs] : []))
    return times.length === 0 ? undefined : Math.min(...times)
  }
}
