/**
 * How many successors may wait at once in an update of many guests: each takes the memory and descriptors of
 * a second QEMU. A guest for whose successor there is no room is updated all the same, its old QEMU first.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Limit } from '../../values/limit.ts'
import { KIB } from '../../values/units.ts'

/** Each uses a processor while it starts, beside the guests. */
const AT_ONCE = 2 * availableParallelism()
/** Of what is available: the rest is for the host and the guests. */
const MOST_PART = 0.5

export class SuccessorRoom {
  readonly #limit = new Limit(AT_ONCE)
  #bytes = MOST_PART * availableBytes()
  #descriptors = MOST_PART * freeDescriptors()

  /**
   * Runs `work` when it is its turn; `hasRoom`: whether a successor of `pid` may wait meanwhile. Resolves or
   * rejects as `work` does.
   */
  async run<T>(pid: number, work: (hasRoom: boolean) => Promise<T>): Promise<T> {
    return await this.#limit.run(async () => {
      const { bytes, descriptors } = needs(pid)
      const hasRoom = bytes <= this.#bytes && descriptors <= this.#descriptors
      if (!hasRoom) return await work(false)
      this.#bytes -= bytes
      this.#descriptors -= descriptors
      try {
        return await work(true)
      } finally {
        this.#bytes += bytes
        this.#descriptors += descriptors
      }
    })
  }
}

/** What the QEMU that runs has taken for itself; nothing of a process that has ended. */
function needs(pid: number): { bytes: number; descriptors: number } {
  try {
    const bytes = kilobytes(readFileSync(`/proc/${pid}/status`, 'latin1'), 'RssAnon') * KIB
    return { bytes, descriptors: readdirSync(`/proc/${pid}/fd`).length }
  } catch {
    return { bytes: 0, descriptors: 0 }
  }
}

const availableBytes = (): number => kilobytes(readFileSync('/proc/meminfo', 'latin1'), 'MemAvailable') * KIB

/** Of the whole machine: allocated, unused, most (proc_sys_fs(5), file-nr). */
function freeDescriptors(): number {
  const [used = 0, , most = 0] = readFileSync('/proc/sys/fs/file-nr', 'latin1').split(/\s+/).map(Number)
  return most - used
}

const kilobytes = (text: string, key: string): number =>
  Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0)
