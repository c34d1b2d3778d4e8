/**
 * The process that holds a pool before this keeper. The keeper stops it while it tries to take over, and then
 * kills it or lets it resume. Until it is killed, it holds all that it held.
 */
import { close } from '../../linux/descriptors.ts'
import { must } from '../../linux/library.ts'
import { isStopped, pidfdOpen, sleepBlocking, waitExit } from '../../linux/process.ts'
import { isAlive } from '../../run/process-identity.ts'
import { ESRCH } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import type { PreviousHolder } from '../contact.ts'
import type { KeeperLog } from '../log.ts'

/** A request that is under way ends first; this is many times what one takes. */
const STOP_TIMEOUT_MS = 5000
const LOOK_AGAIN_MS = 1

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
 * A pidfd of the holder, which `killHolder` closes. For before the next server serves: where none can be had,
 * the holder still has the pool to itself. undefined: there is no process to kill. Errors: SystemCallError.
 */
export function openHolder({ role, process: holder }: PreviousHolder): Fd | undefined {
  const pidfd = role === 'store' ? ESRCH : pidfdOpen(holder.pid)
  return pidfd === ESRCH ? undefined : must(pidfd, 'pidfd_open')
}

/**
 * Resolves when all its threads have ended, however long that takes for a server: the kernel ends a process
 * only when it leaves a system call, and one that waits in it (a page that has to be read, a frozen cgroup)
 * may store to the pool's memory before, where the next server has given that to a guest. A keeper stores
 * nothing there, and is waited for STOP_TIMEOUT_MS. `pidfd`: of `openHolder`; it is readable when the last
 * thread is gone, while /proc shows that of the first alone.
 */
export async function killHolder(
  { role, process: holder }: PreviousHolder,
  pidfd: Fd,
  log: KeeperLog,
): Promise<void> {
  if (isAlive(holder)) {
    process.kill(holder.pid, 'SIGKILL')
    for (let waitMs = STOP_TIMEOUT_MS; !(await waitExit(pidfd, waitMs)); waitMs *= 2) {
      if (role === 'keeper') break
      log.event(`process ${holder.pid}, the former server, was killed and is not gone: waits for its end`)
    }
  }
  close(pidfd)
}
