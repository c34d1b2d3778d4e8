/**
 * How many successors may wait at once in an update of many guests: each takes the memory and descriptors of
 * a second QEMU. A guest for whose successor there is no room is updated all the same, its old QEMU first.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import { cgroupOf } from '../../linux/cgroup.ts'
import { memoryInfo, parseMeminfo } from '../../linux/memory-info.ts'
import { Limit } from '../../values/limit.ts'

/** Each uses a processor while it starts, as the guests do. */
const AT_ONCE = 2 * availableParallelism()
/** Of what is available: the rest is for the host and the guests. */
const MOST_PART = 0.5

export class SuccessorRoom {
  readonly #limit = new Limit(AT_ONCE)
  #bytes = MOST_PART * memoryInfo().availableBytes
  #descriptors = MOST_PART * freeDescriptors()

  /**
   * Runs `work` when it is its turn; `hasRoom`: whether a successor of `pid` may wait meanwhile. Resolves or
   * rejects as `work` does.
   */
  async run<T>(pid: number, work: (hasRoom: boolean) => Promise<T>): Promise<T> {
    return await this.#limit.run(async () => {
      const { bytes, descriptors, tasks } = needs(pid)
      const hasRoom =
        bytes <= this.#bytes && descriptors <= this.#descriptors && fitsCgroup(pid, { bytes, tasks })
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
function needs(pid: number): { bytes: number; descriptors: number; tasks: number } {
  try {
    const bytes = parseMeminfo(readFileSync(`/proc/${pid}/status`, 'latin1')).get('RssAnon') ?? 0
    const [descriptors, tasks] = ['fd', 'task'].map((name) => readdirSync(`/proc/${pid}/${name}`).length)
    return { bytes, descriptors: descriptors ?? 0, tasks: tasks ?? 0 }
  } catch {
    return { bytes: 0, descriptors: 0, tasks: 0 }
  }
}

/**
 * Whether the cgroups of `pid`, which its successor joins, have room for it: beyond `memory.max` the kernel
 * would kill one of the two, and the one that has the guest is the larger one.
 */
function fitsCgroup(pid: number, wanted: { bytes: number; tasks: number }): boolean {
  for (let path = cgroupOf(pid); path !== undefined && path !== '/'; path = dirname(path)) {
    if (MOST_PART * freeOf(path, 'memory') < wanted.bytes) return false
    if (freeOf(path, 'pids') < wanted.tasks) return false
  }
  return true
}

/** Up to the limit of a controller; without one, or without a limit, all there can be. */
function freeOf(path: string, controller: 'memory' | 'pids'): number {
  try {
    const [most, used] = ['max', 'current'].map((name) =>
      readFileSync(`/sys/fs/cgroup${path}/${controller}.${name}`, 'latin1').trim(),
    )
    return most === 'max' ? Number.POSITIVE_INFINITY : Number(most) - Number(used)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** Of the whole machine: allocated, unused, most (proc_sys_fs(5), file-nr). */
function freeDescriptors(): number {
  const [used = 0, , most = 0] = readFileSync('/proc/sys/fs/file-nr', 'latin1').split(/\s+/).map(Number)
  return most - used
}
