/**
 * Records in the image where memory has failed: what the kernel's log says, and blocks that the server cannot
 * use time after time. Called between requests. Must not: wait, or read the log without an end.
 *
 * A failure is recorded before the block can go to another file: `lookAtAll` is called before blocks that
 * were zeroed are logged as clean, and a block in use stays its file's until that loses it.
 */
import type { FileSystem, OwnRequest } from '../fs/file-system.ts'
import { BLOCK_BYTES, type Extent, type Store } from '../stores/store.ts'
import { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { formatSize } from '../values/size.ts'

/**
 * After one look the server makes the next one no earlier than this, unless it is to call blocks clean: the
 * kernel may log other lines at any rate, and each makes the log readable.
 */
const QUIET_MS = 1000
/** So many looks read all of the log, unless the kernel logs faster than the server reads. */
const MOST_LOOKS = 32

/**
 * An access may fail because the kernel lacks memory for page tables. So a block counts as bad only after so
 * many failures, each so long after the one before.
 */
const FAILURES_UNTIL_BAD = 3
const FAILURE_MS = 1000

interface Suspect {
  readonly failures: number
  readonly nextMs: number
}

export class BadMemory {
  readonly #fs: FileSystem
  readonly #store: Store
  readonly #internal: () => OwnRequest
  readonly #report: (line: string) => void
  readonly #nowMs: () => number
  readonly #suspects = new Map<number, Suspect>()
  /** Addresses in the image that were reported. */
  readonly #inImage = new Set<number>()
  /** The image has had no room for these yet. */
  #unrecorded: ReadonlySet<number> = new Set()
  #quietUntilMs = 0
  #gaps = 0

  constructor(
    fs: FileSystem,
    store: Store,
    internal: () => OwnRequest,
    report: (line: string) => void,
    nowMs = (): number => performance.now(),
  ) {
    this.#fs = fs
    this.#store = store
    this.#internal = internal
    this.#report = report
    this.#nowMs = nowMs
    const unreadable = store.memoryFailures?.unreadable
    if (unreadable !== undefined)
      report(`the kernel's log cannot be read (${unreadable}): memory that fails is found when it is zeroed`)
  }

  /** Readable when `look` has something to read. undefined: it has not, or not before `timerMs`. */
  get fd(): Fd | undefined {
    return this.#nowMs() < this.#quietUntilMs ? undefined : this.#store.memoryFailures?.fd
  }

  /** When `advance` is to be called at the latest, and `fd` asked for again. undefined: there is no need. */
  get timerMs(): number | undefined {
    const isQuiet = this.#nowMs() < this.#quietUntilMs
    return isQuiet || this.#unrecorded.size > 0 ? QUIET_MS : undefined
  }

  /** Reads what the kernel has logged since the last look, and records it. True: there is more. */
  look(): boolean {
    const logged = this.#store.memoryFailures?.logged()
    if (logged === undefined) return false
    // Where there is more, the next look follows at once: `fd` is readable still.
    if (!logged.isMore) this.#quietUntilMs = this.#nowMs() + QUIET_MS
    if (logged.gaps > 0) this.#reportGaps(logged.gaps)
    for (const address of logged.image) this.#reportImage(address)
    this.#record(logged.blocks)
    return logged.isMore
  }

  /** The same, to the end of the log. */
  lookAtAll(): void {
    for (let looks = 0; looks < MOST_LOOKS && this.look(); looks++);
  }

  /** Costs next to nothing when there is nothing to do. */
  advance(): void {
    for (const block of this.#store.memoryFailures?.suspected() ?? []) this.suspect(block)
    if (this.#unrecorded.size > 0) this.#record([])
  }

  /** An access to the block failed. */
  suspect(block: number): void {
    const nowMs = this.#nowMs()
    const { failures, nextMs } = this.#suspects.get(block) ?? { failures: 0, nextMs: nowMs }
    if (nowMs < nextMs) return
    if (failures + 1 < FAILURES_UNTIL_BAD) {
      this.#suspects.set(block, { failures: failures + 1, nextMs: nowMs + FAILURE_MS })
      return
    }
    this.#suspects.delete(block)
    this.#record([block])
  }

  #record(failed: readonly number[]): void {
    const blocks = new Set([...this.#unrecorded, ...failed])
    if (blocks.size === 0) return
    const recorded = this.#fs.markBad(
      this.#internal(),
      [...blocks].map((start) => ({ start, count: 1 })),
    )
    this.#unrecorded = recorded instanceof Errno ? blocks : new Set()
    if (recorded instanceof Errno) return
    for (const extent of recorded)
      this.#report(`memory has failed at ${this.#place(extent)}: it is recorded as bad`)
  }

  #place({ start, count }: Extent): string {
    const { place } = this.#store.descriptor
    const at = (place?.start ?? 0) + start * BLOCK_BYTES
    return `0x${at.toString(16)}+${formatSize(count * BLOCK_BYTES)}`
  }

  #reportImage(address: number): void {
    if (this.#inImage.has(address)) return
    this.#inImage.add(address)
    this.#report(`memory has failed at 0x${address.toString(16)}, in the image of the pool`)
  }

  /** The first time, and then when it has become twice as often. */
  #reportGaps(gaps: number): void {
    const before = this.#gaps
    this.#gaps += gaps
    if (before === 0 || Math.floor(Math.log2(before)) < Math.floor(Math.log2(this.#gaps)))
      this.#report(
        `lines of the kernel's log were lost before they could be read (${this.#gaps} times): failures of memory may be among them`,
      )
  }
}
