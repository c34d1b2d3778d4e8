/**
 * The process that holds a pool before this keeper. It is stopped while the keeper tries to take over, and
 * then it is killed, or it resumes. Until it is killed, it has lost nothing.
 */
import { close, waitReadable } from '../../linux/descriptors.ts'
import { isStopped, pidfdOpen, sleepBlocking } from '../../linux/process.ts'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'

/** A request that is under way ends first: many times what one takes. */
const STOP_TIMEOUT_MS = 5000
const LOOK_AGAIN_MS = 1

/** 'store': the process holds only what the service manager handed back to it, and ends by itself. */
export interface PreviousHolder {
  readonly role: 'keeper' | 'server' | 'store'
  readonly process: ProcessIdentity
}

/**
 * Returns when it is stopped: what it holds does not change while it is copied. Errors: UsageError; it runs
 * on then.
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
 * Returns when it has ended, or does not within STOP_TIMEOUT_MS: a thread of it may be at the region until
 * then.
 */
export function killHolder({ role, process: holder }: PreviousHolder): void {
  if (role === 'store') return
  // Readable when the last of its threads is gone: /proc says so of the first alone.
  const pidfd = pidfdOpen(holder.pid)
  if (isAlive(holder)) {
    process.kill(holder.pid, 'SIGKILL')
    if (!(pidfd instanceof Errno)) waitReadable(pidfd, STOP_TIMEOUT_MS)
  }
  if (!(pidfd instanceof Errno)) close(pidfd)
}
