/**
 * The demo's guest: the tiny guest of the tests, started with `guestmemfs run` as the operator would, its
 * serial port read from standard output. Each QEMU of the guest has the same pipe.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { findBreak, readTicks, type Tick } from '../../testbed/guests/ticks.ts'

const TICK_TIMEOUT_MS = 60_000

export class DemoGuest {
  readonly #process: ChildProcess
  #hasEnded = false
  readonly #onTick: (tick: Tick) => void
  #output = ''
  #errors = ''

  constructor(command: readonly [string, ...string[]], onTick: (tick: Tick) => void) {
    const [program, ...words] = command
    this.#onTick = onTick
    this.#process = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    // When no QEMU has the pipes any more: an update ends the one that was started.
    this.#process.once('close', () => {
      this.#hasEnded = true
    })
    this.#process.stdout?.setEncoding('latin1').on('data', (text: string) => this.#receive(text))
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
  }

  get ticks(): readonly Tick[] {
    return readTicks(this.#output)
  }

  /** The first fault in the guest's output so far, or `undefined`. */
  get broken(): string | undefined {
    return findBreak(this.ticks)
  }

  /** Waits for `more` further lines. Errors: the guest's QEMU ended, or it printed nothing for a minute. */
  async tick(more: number): Promise<void> {
    const goal = this.ticks.length + more
    const deadline = performance.now() + TICK_TIMEOUT_MS
    while (this.ticks.length < goal) {
      if (this.#hasEnded) throw new Error(`the guest ended: ${this.#errors.trim()}`)
      if (performance.now() > deadline)
        throw new Error(`the guest stands still at tick ${this.ticks.at(-1)?.number}`)
      await sleep(50)
    }
  }

  /** Resolves when the guest's QEMU has ended. */
  async ended(): Promise<void> {
    if (!this.#hasEnded) await once(this.#process, 'close')
  }

  #receive(text: string): void {
    const before = this.ticks.length
    this.#output += text
    for (const tick of this.ticks.slice(before)) this.#onTick(tick)
  }
}
