/**
 * A process behind all others, and back in its former place. On Linux a nice value belongs to a thread, and a
 * thread or process that is started has that of the thread which starts it (setpriority(2), "C library/kernel
 * differences"). Where the kernel shares processors out among sessions first (sched(7), "The autogroup
 * feature"), that of the session counts beside it. Among cgroups of a processor controller neither counts.
 */
import { readdirSync } from 'node:fs'
import { constants, getPriority } from 'node:os'
import { setNice, setSessionNice } from './process.ts'

const LAST = constants.priority.PRIORITY_LOW
const FIRST = constants.priority.PRIORITY_HIGHEST
/** A thread that was started meanwhile has the value of its starter, and shows in the next pass. */
const PASSES = 10

/**
 * `pid`: a process that leads its session. Returns the nice value that `putBack` needs. undefined: it has
 * ended, or is left as it is, since this process may not put it back: the kernel lets anyone raise a nice
 * value, and few lower it (can_nice(), kernel/sched/syscalls.c).
 */
export function putLast(pid: number): number | undefined {
  const nice = niceOf(pid)
  if (nice === undefined || nice === LAST || nice === FIRST) return undefined
  // This tries whether it may lower the nice value before it raises it: a raise that it cannot undo would
  // stay.
  if (setNice(pid, nice - 1) !== undefined) return undefined
  setThreads(pid, LAST, () => true)
  setSessionNice(pid, LAST)
  return nice
}

/** All threads that `putLast` has put last, and what they have started since; the session as a new one is. */
export function putBack(pid: number, nice: number): void {
  setThreads(pid, nice, (now) => now === LAST)
  setSessionNice(pid, 0)
}

/** For all threads that have one that `applies`. */
function setThreads(pid: number, nice: number, applies: (now: number) => boolean): void {
  for (let pass = 0; pass < PASSES; pass++) {
    const others = threadsOf(pid).filter((tid) => {
      const now = niceOf(tid)
      return now !== undefined && now !== nice && applies(now)
    })
    if (others.length === 0) return
    for (const tid of others) setNice(tid, nice)
  }
}

/** The first thread is the first of them. Empty: the process has ended. */
function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number)
  } catch {
    return []
  }
}

function niceOf(tid: number): number | undefined {
  try {
    return getPriority(tid)
  } catch {
    return undefined
  }
}
