/**
 * Work, and programs, as another user. To the kernel credentials belong to a thread (credentials(7)); the C
 * library's functions would set those of all threads, so the system calls are made directly. A program that
 * is started runs as that user from its first instruction on: none runs as root in between, and none has
 * root's environment.
 *
 * Must not: let the real or the saved uid of this process be another user's, not for a moment, unless it is
 * about to execute that user's program. kill(2) looks at these two: that user could stop or end this process,
 * which may serve all guests, or have Node open its debugger by SIGUSR1. Numbers:
 * arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h, include/uapi/linux/capability.h.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { abort } from 'node:process'
import type { Errno } from '../values/errno.ts'
import { addressOf, lastErrno, libcCall, must } from './library.ts'

export interface Credentials {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups. */
  readonly groups: readonly number[]
}

const call = libcCall('syscall', 'long', ['long', 'long', 'long', 'long'])
const withBuffers = libcCall('syscall', 'long', ['long', 'void *', 'void *'])
const setGroups = libcCall('syscall', 'long', ['long', 'size_t', 'void *'])
const execve = libcCall('execve', 'int', ['str', 'void *', 'void *'])
const signal = libcCall('signal', 'uintptr_t', ['int', 'uintptr_t'])
const prctl = libcCall('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong'])

const NUMBERS = {
  x64: { setgroups: 116, setresuid: 117, setresgid: 119, capget: 125, capset: 126 },
  arm64: { setgroups: 159, setresuid: 147, setresgid: 149, capget: 90, capset: 91 },
}
const SYS = process.arch === 'arm64' ? NUMBERS.arm64 : NUMBERS.x64
const PR_CAP_AMBIENT = 47
const PR_CAP_AMBIENT_CLEAR_ALL = 4
const CAPABILITY_VERSION_3 = 0x20080522
const CAP_SETGID = 6
const SIG_DFL = 0
/** The last one before those that the C library has for itself. */
const SIGSYS = 31

/**
 * Runs `work` with the effective ids and the groups of `credentials`, by which the kernel decides about
 * files, and returns what it returns. It must not wait for anything (what the thread does later is done as
 * this process again), nor start a program, which would have root's real uid. Throws SystemCallError: EPERM
 * (only root may), EINVAL.
 */
export function asUser<T>(credentials: Credentials, work: () => T): T {
  const ours = ownCredentials()
  if (isSame(credentials, ours)) return work()
  const { uid, gid, groups } = credentials
  try {
    setThreadGroups(groups)
    must(call(SYS.setresgid, ours.gid, gid, ours.gid), `setresgid ${gid}`)
    must(call(SYS.setresuid, ours.uid, uid, ours.uid), `setresuid ${uid}`)
    return work()
  } finally {
    restore(ours)
  }
}

/**
 * Starts a program that has that user's real, effective and saved ids and groups, and no capability (root's
 * has root's). Throws SystemCallError: EPERM (only root may), EINVAL. Where the program does not start, the
 * child emits `error`, as with Node's `spawn`.
 */
export function spawnAs(
  credentials: Credentials,
  program: string,
  words: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const ours = ownCredentials()
  if (isSame(credentials, ours)) return spawn(program, words, options)
  const { uid, gid, groups } = credentials
  try {
    // execve(2) keeps ambient capabilities.
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    setThreadGroups(groups)
    must(call(SYS.setresgid, gid, gid, gid), `setresgid ${gid}`)
    // The child has this thread's groups; libuv sets its uid, and before that takes all groups away
    // (uv__process_child_init), which must fail: it ignores that.
    setEffective(CAP_SETGID, false)
    return spawn(program, words, { ...options, uid })
  } finally {
    restore(ours)
  }
}

/**
 * This process becomes the program, as that user, with no capability (root's has root's), and with the
 * descriptors that are not close-on-exec. Each signal has its default action there: Node ignores two of them
 * (`PlatformInit`, node.cc), which execve(2) would keep, and SIGUSR1 must not open Node's debugger meanwhile.
 * Returns only where the program cannot be executed, and this process is as it was, but for the signals.
 * Throws SystemCallError: EPERM (only root may), EINVAL. Errors: ENOENT, EACCES, E2BIG.
 */
export function executeAs(
  credentials: Credentials,
  program: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): Errno {
  const ours = ownCredentials()
  const [argv, argvPointers] = stringsOf([program, ...words])
  const [envp, envpPointers] = stringsOf(
    Object.entries(environment).map(([name, value]) => `${name}=${value}`),
  )
  for (let number = 1; number <= SIGSYS; number++) signal(number, SIG_DFL) // SIGKILL and SIGSTOP refuse
  const { uid, gid, groups } = credentials
  const isOther = !isSame(credentials, ours)
  try {
    if (isOther) {
      prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
      setThreadGroups(groups)
      must(call(SYS.setresgid, gid, gid, ours.gid), `setresgid ${gid}`)
      // execve(2) makes the saved uid the effective one, and takes root's capabilities away with it.
      must(call(SYS.setresuid, uid, uid, ours.uid), `setresuid ${uid}`)
    }
    // SAFETY: execve reads zero-terminated strings and two lists of their addresses, each with a null at its
    // end; all are reachable until it has returned. The other threads of this process end with it.
    execve(program, argvPointers, envpPointers)
    return lastErrno()
  } finally {
    if (isOther) restore(ours)
    void [argv, envp]
  }
}

/** Zero-terminated strings, and the list of their addresses that ends with a null. */
function stringsOf(words: readonly string[]): [readonly Buffer[], BigUint64Array] {
  const strings = words.map((word) => Buffer.from(`${word}\0`))
  return [strings, BigUint64Array.from([...strings.map((one) => BigInt(addressOf(one))), 0n])]
}

/** A process that cannot restore its own credentials must not continue with another user's. */
function restore(ours: Credentials): void {
  try {
    must(call(SYS.setresuid, ours.uid, ours.uid, ours.uid), `setresuid ${ours.uid}`)
    if (ours.uid !== 0) return
    setEffective(CAP_SETGID, true)
    must(call(SYS.setresgid, ours.gid, ours.gid, ours.gid), `setresgid ${ours.gid}`)
    setThreadGroups(ours.groups)
  } catch {
    abort()
  }
}

/** Puts a capability that is permitted into this thread's effective set, or takes it out. */
function setEffective(capability: number, isOn: boolean): void {
  // SAFETY: struct __user_cap_header_struct, and two struct __user_cap_data_struct {effective, permitted,
  // inheritable}, of which the kernel fills and reads 24 bytes, reachable during both calls.
  const header = Uint32Array.of(CAPABILITY_VERSION_3, 0)
  const data = new Uint32Array(6)
  must(withBuffers(SYS.capget, header, data), 'capget')
  const bit = 1 << capability
  data[0] = isOn ? (data[0] as number) | bit : (data[0] as number) & ~bit
  must(withBuffers(SYS.capset, header, data), 'capset')
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
