/**
 * The processes that systemd leaves running until the very end of a shutdown: those in a unit that is in no
 * slice but the root, and whose cgroup systemd has marked to be spared by the final kill
 * (SurviveFinalKillSignal=, systemd 255; src/shutdown and killall.c there).
 */
import { readFileSync } from 'node:fs'
import { Errno } from '../values/errno.ts'
import { getxattr } from './xattr.ts'

const CGROUP_ROOT = '/sys/fs/cgroup'
/** The second one where the kernel keeps no `user.` attributes there (before 5.7). */
const MARKS = ['user.survive_final_kill_signal', 'trusted.survive_final_kill_signal']

/** False as well for a process that has ended, and where there is no unified hierarchy. */
export function outlivesShutdown(pid: number): boolean {
  let group: string | undefined
  try {
    group = unitAtRoot(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
  } catch {
    return false
  }
  if (group === undefined) return false
  const path = `${CGROUP_ROOT}/${group}`
  return MARKS.some((name) => isTrue(getxattr(path, name)))
}

const isTrue = (value: Uint8Array | Errno): boolean =>
  !(value instanceof Errno) && Buffer.from(value).toString() === '1'

/** The unit of `/proc/PID/cgroup`, if it lies in no slice but the root. */
export function unitAtRoot(cgroups: string): string | undefined {
  return /^0::\/([^/\n]+\.service)$/m.exec(cgroups)?.[1]
}
