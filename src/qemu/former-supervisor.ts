/**
 * The supervisor of a guest that a former version started: a process beside QEMU that would start the next
 * QEMU by itself when it sees the old one end in an update.
 */
import { close } from '../linux/descriptors.ts'
import { pidfdOpen, sendSignal, waitExit } from '../linux/process.ts'
import { isAlive } from '../run/process-identity.ts'
import { readRuntime, writeRuntime } from '../run/vm-runtime.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { mainUnitOf } from './start/guest-unit.ts'

const TIMEOUT_MS = 5000

/**
 * Ends it, and not its QEMU, which runs on. The caller holds the VM's update lock. Errors (UsageError): it
 * does not end, it is a unit's main process and the guest's QEMU runs, /run is full.
 */
export async function endFormerSupervisor(name: string): Promise<void> {
  const runtime = readRuntime(name)
  if (runtime?.supervisor === undefined) return
  const { supervisor, ...rest } = runtime
  const hasGuest = rest.qemu !== null && isAlive(rest.qemu)
  const unit = hasGuest && isAlive(supervisor) ? mainUnitOf(supervisor.pid) : undefined
  if (unit !== undefined)
    throw new UsageError(
      `a former version started it, and its unit ${unit.name} would end with that one's process: stop the unit and start it again`,
    )
  const pidfd = isAlive(supervisor) ? pidfdOpen(supervisor.pid) : undefined
  if (pidfd !== undefined && !(pidfd instanceof Errno)) {
    // By SIGKILL: the supervisor forwards all other signals to QEMU.
    if (isAlive(supervisor)) sendSignal(pidfd, 'SIGKILL')
    const hasEnded = await waitExit(pidfd, TIMEOUT_MS)
    close(pidfd)
    if (!hasEnded)
      throw new UsageError(`its supervisor of a former version, process ${supervisor.pid}, does not end`)
  }
  writeRuntime(name, rest)
}
