/**
 * A keeper's process that waits for its options. Starting one takes as long as reading and checking the
 * command line, and after a kexec guests wait for both: so they run at the same time. This process kills it
 * when it ends without having used it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { CONTACT_FD } from '../keeper/contact.ts'
import { compileCacheEnvironment } from '../linux/compile-cache.ts'
import { killChild } from '../linux/process.ts'

const KEEPER_MAIN = fileURLToPath(new URL(`../keeper/main${import.meta.url.slice(-3)}`, import.meta.url))

export class WaitingKeeper {
  readonly #child: ChildProcess
  readonly #kill = () => killChild(this.#child)

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

  /** From now on it outlives this process. */
  keep(): void {
    process.off('exit', this.#kill)
    this.contact.destroy()
  }
}
