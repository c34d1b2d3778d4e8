/**
 * The demo's output: steps with their times, and one live line, which it overwrites on a terminal. Without a
 * terminal it prints only some live lines. Must not: run the demo.
 */

/** Without a terminal, one in this many live lines is printed. */
const QUIET_LINES = 20

export interface Step {
  readonly what: string
  readonly atMs: number
  readonly tookMs: number
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`.padStart(9)

export class Screen {
  readonly #started = performance.now()
  readonly #steps: Step[] = []
  readonly #isTerminal = process.stdout.isTTY === true
  #passedOver = QUIET_LINES
  #hasLiveLine = false

  print(line: string): void {
    this.#endLiveLine()
    process.stdout.write(`${line}\n`)
  }

  /** The newest of a stream of lines. */
  live(line: string): void {
    if (this.#isTerminal) {
      process.stdout.write(`\r\x1b[K  ${line}`)
      this.#hasLiveLine = true
      return
    }
    this.#passedOver += 1
    if (this.#passedOver < QUIET_LINES) return
    this.#passedOver = 0
    process.stdout.write(`  ${line}\n`)
  }

  /** Runs one step of the demo and keeps how long it took. */
  async step<T>(what: string, work: () => Promise<T> | T): Promise<T> {
    this.print(`• ${what}`)
    const began = performance.now()
    const result = await work()
    const atMs = began - this.#started
    this.#steps.push({ what, atMs, tookMs: performance.now() - began })
    return result
  }

  timeline(): void {
    this.print('')
    this.print('      began       took')
    for (const { what, atMs, tookMs } of this.#steps)
      this.print(`  ${seconds(atMs)}  ${seconds(tookMs)}  ${what}`)
  }

  #endLiveLine(): void {
    if (this.#hasLiveLine) process.stdout.write('\n')
    this.#hasLiveLine = false
  }
}
