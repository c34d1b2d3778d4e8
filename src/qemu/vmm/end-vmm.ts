/** The end of a program of another VMM whose guest is saved, or that never got it. */
import { close } from '../../linux/descriptors.ts'
import { pidfdOpen, sendSignal, waitExit } from '../../linux/process.ts'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { Errno, ESRCH } from '../../values/errno.ts'
import { QemuError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'

/** It may close its disks meanwhile. */
const TERM_TIMEOUT_MS = 3000
const KILL_TIMEOUT_MS = 10_000

/**
 * By SIGTERM, then after `termTimeoutMs` by SIGKILL, to all of its process group. Errors (QemuError): it does
 * not end.
 */
export async function endVmm(
  name: string,
  vmm: ProcessIdentity,
  termTimeoutMs = TERM_TIMEOUT_MS,
): Promise<void> {
  const pidfd = pidfdOpen(vmm.pid)
  if (pidfd === ESRCH) return
  if (pidfd instanceof Errno)
    throw new QemuError(`program of VM ${name} (process ${vmm.pid}) cannot be ended: ${pidfd}`)
  try {
    for (const [signal, timeoutMs] of [
      ['SIGTERM', termTimeoutMs],
      ['SIGKILL', KILL_TIMEOUT_MS],
    ] as const) {
      if (!isAlive(vmm)) return // another process by now
      signalAll(vmm, pidfd, signal)
      if (await waitExit(pidfd, timeoutMs)) return
    }
  } finally {
    close(pidfd)
  }
  throw new QemuError(`program of VM ${name} (process ${vmm.pid}) cannot be ended`)
}

/** A shell that has not become the program has it as a child. */
function signalAll({ pid }: ProcessIdentity, pidfd: Fd, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-pid, signal)
  } catch {
    sendSignal(pidfd, signal) // it leads no group
  }
}
