/**
 * The cgroup of a process in the unified hierarchy (cgroup v2), and, where an older systemd has a hierarchy
 * of its own beside that one, in both.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
 * Moves a process to a cgroup of the unified hierarchy. False: it is not there, as after a reboot or in
 * another session, or takes no processes, or there is no such hierarchy.
 */
export function joinCgroup(pid: number, path: string): boolean {
  const root = mountTable().find(({ type }) => type === 'cgroup2')?.target
  return root !== undefined && put(root, path, pid)
}

/** Moves a process to the cgroup that `other` is in. False: it is not in it. */
export function joinCgroupOf(pid: number, other: number): boolean {
  const path = cgroupOf(other)
  if (path === undefined || !joinCgroup(pid, path)) return false
  const root = mountTable().find(
    ({ type, superOptions }) => type === 'cgroup' && superOptions.includes('name=systemd'),
  )?.target
  const named = /^\d+:name=systemd:(.*)$/m.exec(readFileSync(`/proc/${other}/cgroup`, 'utf8'))?.[1]
  return root === undefined || named === undefined || put(root, named, pid)
}

function put(root: string, path: string, pid: number): boolean {
  try {
    writeFileSync(join(root, path, 'cgroup.procs'), String(pid))
    return true
  } catch {
    return false
  }
}
