/** The cgroup of a process in the unified hierarchy (cgroup v2). */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Errno } from '../values/errno.ts'
import { errnoOfNodeError } from './library.ts'

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

/** `path`: as of `cgroupOf`. Errors: ENOENT (there is none of that name), EBUSY, ESRCH, EACCES, EROFS. */
export function joinCgroup(pid: number, path: string): Errno | undefined {
  try {
    writeFileSync(`/sys/fs/cgroup${path}/cgroup.procs`, String(pid))
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}
