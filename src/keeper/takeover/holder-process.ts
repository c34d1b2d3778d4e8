/**
 * The process that holds a pool before this keeper. The keeper stops it while it tries to take over, and then
 * kills it or lets it resume. Until it is killed, it holds all that it held.
 */
import { close, waitReadable } from '../../linux/descriptors.ts'
import { isStopped, pidfdOpen, sleepBlocking } from '../../linux/process.ts'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'

/** A request that is under way ends first; this is many times what one takes. */
const STOP_TIMEOUT_MS = 5000
const LOOK_AGAIN_MS = 1

/** 'store': the process holds only what the service manager passed to it, and ends by itself. */
export interface PreviousHolder {
  readonly role: 'keeper' | 'server' | 'store'
  readonly process: ProcessIdentity
}

/**
 * Returns when it is stopped, so that what it holds does not change while it is copied. Errors: UsageError;
 * then it runs on.
 */
export function suspendHolder(previous: PreviousHolder): void {
  const { role, process: holder } = previous
  if (role === 'store' || !isAlive(holder)) return
  process.kill(holder.pid, 'SIGSTOP')
  const deadline = performance.now() + STOP_TIMEOUT_MS
  while (isAlive(holder) && !isStopped(holder.pid)) {
    if (performance.now() > deadline) {
      resumeHolder(previous)
      throw new UsageError(`process ${holder.pid} does not stop: mount again`)
    }
    sleepBlocking(LOOK_AGAIN_MS)
  }
}

export function resumeHolder({ role, process: holder }: PreviousHolder): void {
  if (role !== 'store' && isAlive(holder)) process.kill(holder.pid, 'SIGCONT')
}

/**
 * Returns when all its threads have ended, because one of them may still write to the region, or after
 * STOP_TIMEOUT_MS.
 */
export function killHolder({ role, process: holder }: PreviousHolder): void {
  if (role === 'store') return
  // The pidfd is readable when the last of its threads is gone; /proc shows that of the first alone.
  const pidfd = pidfdOpen(holder.pid)
  if (isAlive(holder)) {
    process.kill(holder.pid, 'SIGKILL')
    if (!(pidfd instanceof Errno)) waitReadable(pidfd, STOP_TIMEOUT_MS)
  }
  if (!(pidfd instanceof Errno)) close(pidfd)
}
