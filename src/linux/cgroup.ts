/**
 * The cgroup of a process in the unified hierarchy (cgroup v2), and, where an older systemd has a hierarchy
 * of its own beside that one, in both.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ENOENT, type Errno } from '../values/errno.ts'
import { errnoOfNodeError } from './library.ts'
import { mountTable } from './mounts.ts'

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

/**
 * Moves a process to a cgroup of the unified hierarchy. `path`: as of `cgroupOf`. Errors: ENOENT (there is
 * none of that name, as after a reboot or in another session, or no such hierarchy), EBUSY, ESRCH, EACCES,
 * EROFS.
 */
export function joinCgroup(pid: number, path: string): Errno | undefined {
  const root = mountTable().find(({ type }) => type === 'cgroup2')?.target
  return root === undefined ? ENOENT : put(root, path, pid)
}

/** Moves a process to the cgroup that `other` is in. Errors: as of `joinCgroup`. */
export function joinCgroupOf(pid: number, other: number): Errno | undefined {
  const path = cgroupOf(other)
  const failed = path === undefined ? ENOENT : joinCgroup(pid, path)
  if (failed !== undefined) return failed
  const root = mountTable().find(
    ({ type, superOptions }) => type === 'cgroup' && superOptions.includes('name=systemd'),
  )?.target
  const named = /^\d+:name=systemd:(.*)$/m.exec(readFileSync(`/proc/${other}/cgroup`, 'utf8'))?.[1]
  return root === undefined || named === undefined ? undefined : put(root, named, pid)
}

function put(root: string, path: string, pid: number): Errno | undefined {
  try {
    writeFileSync(join(root, path, 'cgroup.procs'), String(pid))
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}
