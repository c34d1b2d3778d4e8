/**
 * The credentials of one piece of work: another user's and groups, for this thread alone, while a function
 * runs. To the kernel credentials belong to a thread (credentials(7)); the C library's functions would set
 * those of all threads, so the system calls are made directly. What the function starts is that user's from
 * its first instruction on: no program runs as root in between, and no environment is one of root's. Numbers:
 * arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
 */
import { abort } from 'node:process'
import { libcCall, must } from './library.ts'

export interface Credentials {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups. */
  readonly groups: readonly number[]
}

const call = libcCall('syscall', 'long', ['long', 'long', 'long', 'long'])
const setGroups = libcCall('syscall', 'long', ['long', 'size_t', 'void *'])
const prctl = libcCall('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong'])

const NUMBERS = {
  x64: { setgroups: 116, setresuid: 117, setresgid: 119 },
  arm64: { setgroups: 159, setresuid: 147, setresgid: 149 },
}
const SYS = process.arch === 'arm64' ? NUMBERS.arm64 : NUMBERS.x64
const PR_CAP_AMBIENT = 47
const PR_CAP_AMBIENT_CLEAR_ALL = 4

/**
 * Runs `work` as `credentials`, and returns what it returns. It must not wait for anything: what the thread
 * does later is done as this process again. A program that it starts has that user's real, effective and
 * saved ids and no capability. Other threads, which a promise of node:fs would use, stay as they are. Throws
 * SystemCallError: EPERM (only root may), EINVAL.
 */
export function withCredentials<T>(credentials: Credentials, work: () => T): T {
  const ours = ownCredentials()
  if (isSame(credentials, ours)) return work()
  const { uid, gid, groups } = credentials
  try {
    // execve(2) keeps ambient capabilities, which setresuid would take away if the saved uid changed as well.
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    setThreadGroups(groups)
    must(call(SYS.setresgid, gid, gid, gid), `setresgid ${gid}`)
    // The saved uid stays ours, which is the way back; execve makes it the effective one. The kernel lets
    // that user neither trace this process nor read its memory meanwhile: it is not dumpable any more.
    must(call(SYS.setresuid, uid, uid, ours.uid), `setresuid ${uid}`)
    return work()
  } finally {
    restore(ours)
  }
}

/** A process that cannot become itself again must not go on as another. */
function restore(ours: Credentials): void {
  try {
    must(call(SYS.setresuid, ours.uid, ours.uid, ours.uid), `setresuid ${ours.uid}`)
    if (ours.uid !== 0) return
    must(call(SYS.setresgid, ours.gid, ours.gid, ours.gid), `setresgid ${ours.gid}`)
    setThreadGroups(ours.groups)
  } catch {
    abort()
  }
}

function setThreadGroups(groups: readonly number[]): void {
  const list = Uint32Array.from(groups)
  // SAFETY: the kernel reads list.length gid_t of 4 bytes each, reachable during the call.
  must(setGroups(SYS.setgroups, list.length, list), `setgroups ${groups.join(',')}`)
}

function ownCredentials(): Credentials {
  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    groups: process.getgroups?.() ?? [],
  }
}

/** The kernel asks for the primary group and the supplementary ones alike. */
function isSame(one: Credentials, other: Credentials): boolean {
  const [left, right] = [one, other].map(({ gid, groups }) => new Set([...groups, gid])) as [
    Set<number>,
    Set<number>,
  ]
  return one.uid === other.uid && one.gid === other.gid && left.symmetricDifference(right).size === 0
}
