/**
 * The log of a pool's keeper: JSON lines in /run/guestmemfs/pools/POOL.log, never longer than two files of
 * MAX_BYTES, and the few events that the host's `dmesg` should show.
 */
import { fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { writeKernelLog } from '../linux/kmsg.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { logPath } from '../run/pool-record.ts'
import type { Fd } from '../values/ids.ts'
import { MIB } from '../values/units.ts'

const MAX_BYTES = MIB

export class KeeperLog {
  readonly #pool: string
  readonly #path: string
  /**
   * Servers write their errors here, too: opened for appending, so that writers do not overwrite each other.
   */
  fd: Fd

  constructor(pool: string) {
    this.#pool = pool
    this.#path = logPath(pool)
    try {
      this.fd = openSync(this.#path, 'a', 0o600) as Fd
    } catch (error) {
      this.fd = openSync('/dev/null', 'a') as Fd
      this.event(`there is no log (${errnoOfNodeError(error)} of ${this.#path}), dmesg alone has its events`)
    }
  }

  /** An event of the pool: in the log and in dmesg. */
  event(message: string, details: Record<string, unknown> = {}): void {
    this.note(message, details)
    writeKernelLog(`pool ${this.#pool}: ${message}`)
  }

  /**
   * A line that cannot be written (a full /run, say) is lost: it must not end the keeper, with which guests'
   * memory could be lost.
   */
  note(message: string, details: Record<string, unknown> = {}): void {
    try {
      this.#rotate()
      const line = { time: new Date().toISOString(), pool: this.#pool, ...details, msg: message }
      writeSync(this.fd, `${JSON.stringify(line)}\n`)
    } catch (error) {
      errnoOfNodeError(error)
    }
  }

  /**
   * Between events only: the keeper and each new server open the new file, and an old server goes on writing
   * to the old one.
   */
  #rotate(): void {
    if (fstatSync(this.fd).size < MAX_BYTES) return
    renameSync(this.#path, `${this.#path}.1`)
    this.fd = openSync(this.#path, 'a', 0o600) as Fd
  }
}
