/** The cgroup of a process in the unified hierarchy (cgroup v2). */
import { readFileSync } from 'node:fs'

/**
 * Path below /sys/fs/cgroup. undefined: there is no cgroup v2, the process has ended, or this one may not
 * read it.
 */
export function cgroupOf(pid: number | 'self'): string | undefined {
  try {
    return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}
