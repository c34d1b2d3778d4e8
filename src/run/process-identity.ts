/**
 * A process in a record. A pid alone is not enough: the kernel uses pids again, but not with the same start
 * time.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { close } from '../linux/descriptors.ts'
import { untilReadable } from '../linux/library.ts'
import { pidfdOpen, processStartTime } from '../linux/process.ts'
import { Errno, ESRCH } from '../values/errno.ts'
import { BrokenInvariantError } from '../values/errors.ts'

/** Where the kernel cannot tell of an end. */
const LOOK_MS = 10

export const ProcessSchema = v.object({ pid: v.number(), startTime: v.string() })
export type ProcessIdentity = v.InferOutput<typeof ProcessSchema>

/** undefined: it has ended. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = processStartTime(pid)
  return startTime === undefined ? undefined : { pid, startTime }
}

export function identifySelf(): ProcessIdentity {
  const self = identify(process.pid)
  if (self === undefined) throw new BrokenInvariantError('this process is not in /proc')
  return self
}

export const isSameProcess = (one: ProcessIdentity, other: ProcessIdentity): boolean =>
  one.pid === other.pid && one.startTime === other.startTime

export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  return processStartTime(pid) === startTime
}

/**
 * Resolves when the process has ended, or `stop` is aborted. The kernel tells of it: for each of a host's
 * guests that start at once, a look every few milliseconds would take processor time from their QEMUs.
 */
export async function whenGone(one: ProcessIdentity, stop: AbortSignal): Promise<void> {
  const pidfd = pidfdOpen(one.pid)
  if (pidfd instanceof Errno) {
    // This process may have no descriptor left.
    while (pidfd !== ESRCH && !stop.aborted && isAlive(one)) await sleep(LOOK_MS)
    return
  }
  // Else the descriptor is of another process, which has got the pid since.
  if (!stop.aborted && isAlive(one)) {
    const { readable, cancel } = untilReadable(pidfd)
    stop.addEventListener('abort', cancel, { once: true })
    await readable
  }
  close(pidfd)
}
