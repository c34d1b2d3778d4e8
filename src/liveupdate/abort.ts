/**
 * The abort of live updates that are under way: this process signals each that runs, whose command rolls
 * back, and unloads the kernel that a killed one has left loaded. `resume` then continues the guests.
 */
import { bootId } from '../linux/boot-id.ts'
import { close } from '../linux/descriptors.ts'
import { unloadKernel } from '../linux/kexec.ts'
import { pidfdOpen, sendSignal, waitExit } from '../linux/process.ts'
import { isAlive, type ProcessIdentity } from '../run/process-identity.ts'
import { runningUpdates } from '../run/running-updates.ts'
import { formatTimeout } from '../values/duration.ts'
import { Errno, ESRCH } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { readUpdateRecord } from './kernel/update-record.ts'
import { vmMounts } from './vm-mounts.ts'

/**
 * `named`: as of `vmMounts`. Returns how many were stopped, and whether a killed one had left its kernel
 * loaded. Errors: UsageError.
 */
export async function abortUpdates(
  named: string | undefined,
  timeoutMs: number,
): Promise<{ stopped: number; isUnloaded: boolean }> {
  const stopped = await stopUpdates(timeoutMs)
  const { mounts } = vmMounts(named)
  return { stopped, isUnloaded: unloadAfterUpdate(mounts.map(({ mountPoint }) => mountPoint)) }
}

/**
 * Returns how many were stopped. One undoes itself at its next step, or ends when its guests run again; both
 * take `timeoutMs` at the most. Errors (UsageError): one does not end.
 */
async function stopUpdates(timeoutMs: number): Promise<number> {
  const updates = runningUpdates()
  await Promise.all(updates.map((update) => stop(update, timeoutMs)))
  return updates.length
}

/** Sends SIGINT: an update by systemctl takes SIGTERM for systemd's, which is stopping the machine. */
async function stop(update: ProcessIdentity, timeoutMs: number): Promise<void> {
  const pidfd = pidfdOpen(update.pid)
  if (pidfd === ESRCH) return // it has ended
  if (pidfd instanceof Errno)
    throw new UsageError(`the live update of process ${update.pid} cannot be stopped: ${pidfd}`)
  try {
    if (!isAlive(update)) return // another process by now
    sendSignal(pidfd, 'SIGINT')
    if (await waitExit(pidfd, timeoutMs)) return
  } finally {
    close(pidfd)
  }
  throw new UsageError(
    `the live update of process ${update.pid} does not end within ${formatTimeout(timeoutMs)}: wait for it, or kill it and abort again`,
  )
}

/**
 * Whether one of the mounts has the record of an update of this very kernel, whose command was killed before
 * the jump. The kernel that it loaded is unloaded: no reboot may start that over guests which run again.
 */
function unloadAfterUpdate(mountPoints: readonly string[]): boolean {
  const isLeft = mountPoints.some((mountPoint) => readUpdateRecord(mountPoint)?.bootId === bootId())
  if (isLeft) unloadKernel()
  return isLeft
}
