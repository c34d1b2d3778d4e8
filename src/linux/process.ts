/**
 * Processes: pidfds, their descriptors, signals, exit, nice values, OOM score, start times; and a blocking
 * sleep. System call numbers from 424 on are the same on every architecture
 * (include/uapi/asm-generic/unistd.h).
 */
import type { ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import type { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { kernelStartMs } from './boot-id.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall, orErrno, untilReadable } from './library.ts'

const syscall = libcCall('syscall', 'long', ['long', 'long', 'long', 'long', 'long'])
const gettid = libcCall('gettid', 'int', [])

const ioctl = libcCall('ioctl', 'int', ['int', 'ulong', 'void *'])

/** _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info) of 64 bytes, and the bit of `mask` for `exit_code`. */
const PIDFD_GET_INFO = 0xc040ff0b
const PIDFD_INFO_BYTES = 64
const PIDFD_INFO_EXIT = 8n
const SYS_pidfd_send_signal = 424
const SYS_pidfd_open = 434
const SYS_pidfd_getfd = 438
/** setTimeout fires at once for a longer time. */
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Sends a signal to a child that runs; nothing where it has ended or could not be started. Of one that could
 * not, Node keeps a handle whose pid was never set (`uv_spawn`, libuv src/unix/process.c), and
 * `ChildProcess.kill` would signal whatever that number names: any process, a group, with -1 every one.
 */
export function killChild(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (child.pid !== undefined) child.kill(signal)
}

/**
 * A close-on-exec descriptor that names this one process, even after its pid is used again. Errors: ESRCH,
 * EMFILE.
 */
export function pidfdOpen(pid: number): Fd | Errno {
  return orErrno(syscall(SYS_pidfd_open, pid, 0, 0, 0)) as Fd | Errno
}

/** A close-on-exec copy of descriptor `number` of a live process. Errors: EBADF, EPERM, ESRCH, EMFILE. */
export function pidfdGetFd(pidfd: Fd, number: number): Fd | Errno {
  return orErrno(syscall(SYS_pidfd_getfd, pidfd, number, 0, 0)) as Fd | Errno
}

/**
 * Never signals another process that got the same pid. Errors: ESRCH (it has ended and was waited for),
 * EPERM.
 */
export function sendSignal(pidfd: Fd, signal: NodeJS.Signals): Errno | undefined {
  return errnoUnlessZero(syscall(SYS_pidfd_send_signal, pidfd, constants.signals[signal], 0, 0))
}

/**
 * Resolves to true when the process has ended (it need not be a child of this one), to false after
 * `timeoutMs`; a negative timeout means no limit. Waits in the event loop; a thread that must block uses
 * `waitReadable` of descriptors.ts on the pidfd.
 */
export async function waitExit(pidfd: Fd, timeoutMs: number): Promise<boolean> {
  const wait = untilReadable(pidfd)
  let ended = true
  const timeOut = (): void => {
    ended = false
    wait.cancel()
  }
  const timer = timeoutMs < 0 ? undefined : setTimeout(timeOut, Math.min(timeoutMs, MAX_TIMER_MS))
  await wait.readable
  clearTimeout(timer)
  return ended
}

/**
 * -20 (before all others) to 19, of the process' first thread and what it starts from then on. Errors: ESRCH,
 * EACCES, EPERM.
 */
export function setNice(pid: number, nice: number): Errno | undefined {
  try {
    setPriority(pid, nice)
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/**
 * The same for all processes of the session that `pid` is in: where the kernel shares processors out among
 * sessions first (sched(7), "The autogroup feature"), the nice value of a process counts inside its session
 * alone. Errors: ENOENT (no such process, or a kernel without it), EACCES, EPERM.
 */
export function setSessionNice(pid: number, nice: number): Errno | undefined {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(nice))
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * How the process of a pidfd that is readable ended. The kernel reports it (struct pidfd_info,
 * include/uapi/linux/pidfd.h, since Linux 6.15) once its parent has waited for it, and until then /proc does.
 * undefined: an older kernel, and the parent was faster.
 */
export function endOf(pidfd: Fd, pid: number): ProcessEnd | undefined {
  return reportedEnd(pidfd) ?? zombieEnd(pid) ?? reportedEnd(pidfd)
}

function reportedEnd(pidfd: Fd): ProcessEnd | undefined {
  const info = new DataView(new ArrayBuffer(PIDFD_INFO_BYTES))
  info.setBigUint64(0, PIDFD_INFO_EXIT, true)
  // SAFETY: the kernel reads and writes the 64 bytes that the request's number says, which `info` has.
  if (ioctl(pidfd, PIDFD_GET_INFO, info) !== 0) return undefined
  if ((info.getBigUint64(0, true) & PIDFD_INFO_EXIT) === 0n) return undefined
  return endFromWait(info.getInt32(60, true))
}

/** Field 52 of /proc/PID/stat, of a process that has ended and was not waited for. */
function zombieEnd(pid: number): ProcessEnd | undefined {
  const fields = fieldsOfStat(pid)
  return fields[0] === 'Z' ? endFromWait(Number(fields[52 - 3])) : undefined
}

/** `status`: as wait(2) stores it. */
export function endFromWait(status: number): ProcessEnd {
  const number = status & 0x7f
  const [name] = Object.entries(constants.signals).find(([, each]) => each === number) ?? ['SIGKILL']
  return number === 0
    ? { code: (status >> 8) & 0xff, signal: null }
    : { code: null, signal: name as NodeJS.Signals }
}

/** -1000 to 1000 (proc_pid_oom_score_adj(5)). Errors: ENOENT or ESRCH (no such process). */
export function oomScoreOf(pid: number): number | Errno {
  try {
    return Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'latin1'))
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/**
 * -1000 (never chosen by the OOM killer; needs CAP_SYS_RESOURCE) to 1000. Errors: ENOENT or ESRCH (no such
 * process), EACCES.
 */
export function setOomScore(pid: number, score: number): Errno | undefined {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(score))
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/**
 * When the process started, in clock ticks since boot (field 22 of /proc/PID/stat): together with the pid it
 * identifies a process within one boot. Undefined: there is no such process, or it has ended and was not
 * waited for yet.
 */
export function processStartTime(pid: number): string | undefined {
  const fields = fieldsOfStat(pid)
  return hasEnded(pid, fields[0]) ? undefined : fields[22 - 3]
}

/**
 * `state`: of its main thread. That may end first: until its last thread has ended, a process has its memory,
 * its descriptors and their locks.
 */
function hasEnded(pid: number, state: string | undefined): boolean {
  if (isRunning(state)) return false
  try {
    return readdirSync(`/proc/${pid}/task`).length <= 1
  } catch (error) {
    errnoOfNodeError(error)
    return true
  }
}

/** False: it has ended, or the other threads of the process are about to: it executes nothing any more. */
export function isMainThreadAlive(pid: number): boolean {
  return isRunning(fieldsOfStat(pid)[0])
}

const isRunning = (state: string | undefined): boolean =>
  state !== undefined && state !== 'Z' && state !== 'X'

/** Ticks of /proc/PID/stat in a second: USER_HZ, which the kernel's ABI fixes on x86-64 and arm64. */
const USER_HZ = 100

/**
 * When a process was started, before any of its code ran. Milliseconds since the epoch, as fine as a tick.
 * undefined: it has ended.
 */
export function processStartMs(pid: number): number | undefined {
  const startTime = processStartTime(pid)
  return startTime === undefined ? undefined : kernelStartMs() + (Number(startTime) * 1000) / USER_HZ
}

export const ownStartMs = (): number => processStartMs(process.pid) ?? performance.timeOrigin

/** The living processes of a process group, by their pids. */
export const groupMembers = (group: number): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid)) return false
      const [state, , processGroup] = fieldsOfStat(pid)
      return Number(processGroup) === group && !hasEnded(pid, state)
    })

/** Whether a SIGSTOP holds the process: its main thread runs no instruction. */
export function isStopped(pid: number): boolean {
  return fieldsOfStat(pid)[0] === 'T'
}

/** Of /proc/PID/stat from field 3 on; none where there is no such process. */
function fieldsOfStat(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // Field 2 is the program's name in parentheses, which may itself hold spaces and parentheses.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch (error) {
    errnoOfNodeError(error)
    return []
  }
}

/** Blocks this thread, which must not be one that serves requests. */
export const sleepBlocking = (ms: number): void =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

/** The kernel's id of the calling thread. */
export const threadId = (): number => gettid()

export const isThreadAlive = (id: number): boolean => existsSync(`/proc/self/task/${id}`)

/**
 * Ends this process by SIGTERM, which it must not handle. `process.exit` would wait for every worker thread,
 * and one that hangs in a system call never ends.
 */
export function endAbruptly(): never {
  process.kill(process.pid, 'SIGTERM')
  for (;;) sleepBlocking(1000)
}
