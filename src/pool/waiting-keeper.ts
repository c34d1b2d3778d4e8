/**
 * A keeper's process that waits for its options. Starting one takes as long as reading and checking the
 * command line, and after a kexec guests wait for both: so they run at the same time. This process kills it
 * when it ends without having used it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { CONTACT_FD, type KeeperOptions, MOST_BEHIND_MS } from '../keeper/contact.ts'
import { compileCacheEnvironment } from '../linux/compile-cache.ts'
import { killChild } from '../linux/process.ts'
import { putBack, putLast } from '../linux/process-nice.ts'
import { within } from '../values/within.ts'

const KEEPER_MAIN = fileURLToPath(new URL(`../keeper/main${import.meta.url.slice(-3)}`, import.meta.url))

export class WaitingKeeper {
  readonly #child: ChildProcess
  readonly #kill = () => killChild(this.#child)
  /** Of the process before it was put behind all others; undefined: it is not there. */
  #formerNice: number | undefined
  #hasOptions = false

  constructor() {
    this.#child = spawn(process.execPath, [...process.execArgv, KEEPER_MAIN], {
      detached: true,
      // Before it has its options, it writes errors to this process's standard error; afterwards to the
      // pool's log.
      stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
      env: compileCacheEnvironment(),
    })
    this.#child.on('error', () => this.contact.destroy())
    this.#child.unref()
    this.contact.unref()
    process.once('exit', this.#kill)
  }

  /** Ends when the keeper does. Unless `ref` was called, it does not keep this process from ending. */
  get contact(): Duplex & { ref(): void; unref(): void } {
    return this.#child.stdio[CONTACT_FD] as unknown as Duplex & { ref(): void; unref(): void }
  }

  /**
   * Puts it behind all other processes until `guests` resolves, or for `MOST_BEHIND_MS`. Those guests' QEMUs
   * have been started and need no keeper; this process, which lets them go on, is not put there.
   */
  yieldTo(guests: Promise<unknown>): void {
    const { pid } = this.#child
    if (pid === undefined || this.#hasOptions || this.#formerNice !== undefined) return
    this.#formerNice = putLast(pid)
    void within(guests, MOST_BEHIND_MS).then(() => this.#endYielding())
  }

  /** With its options it puts itself and its server back, also where this process dies. */
  #endYielding(): void {
    const { pid, exitCode, signalCode } = this.#child
    const nice = this.#formerNice
    this.#formerNice = undefined
    if (nice === undefined || pid === undefined || exitCode !== null || signalCode !== null) return
    if (this.#hasOptions) this.contact.write('\n')
    else putBack(pid, nice)
  }

  sendOptions(options: KeeperOptions): void {
    this.#hasOptions = true
    const formerNice = this.#formerNice
    this.contact.write(`${JSON.stringify({ ...options, ...(formerNice !== undefined && { formerNice }) })}\n`)
  }

  /** From now on it outlives this process. */
  keep(): void {
    this.#formerNice = undefined
    process.off('exit', this.#kill)
    this.contact.destroy()
  }
}
