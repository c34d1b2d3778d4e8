/** The end of a program of another VMM whose guest is saved, or that never got it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../../linux/descriptors.ts'
import { groupMembers, pidfdOpen, processStartTime, waitExit } from '../../linux/process.ts'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { Errno, ESRCH } from '../../values/errno.ts'
import { QemuError } from '../../values/errors.ts'

/** It may close its disks meanwhile. */
const TERM_TIMEOUT_MS = 3000
const KILL_TIMEOUT_MS = 10_000
const LOOK_MS = 5

/**
 * By SIGTERM, then after `termTimeoutMs` by SIGKILL, with all of its process group: a helper of the program
 * may map the guest's RAM, and write to it after the guest has gone on elsewhere. Errors (QemuError): it does
 * not end.
 */
export async function endVmm(
  name: string,
  vmm: ProcessIdentity,
  termTimeoutMs = TERM_TIMEOUT_MS,
): Promise<void> {
  for (const [signal, timeoutMs] of [
    ['SIGTERM', termTimeoutMs],
    ['SIGKILL', KILL_TIMEOUT_MS],
  ] as const) {
    signalAll(vmm, signal)
    if (await haveEnded(name, vmm, timeoutMs)) return
  }
  throw new QemuError(`program of VM ${name} (process ${vmm.pid}) cannot be ended`)
}

/** The kernel gives the number to another process only when nothing is left of the group. */
const isAnothers = (vmm: ProcessIdentity): boolean => !isAlive(vmm) && processStartTime(vmm.pid) !== undefined

/** The program and what is left of its process group, where it leads one. */
function living(vmm: ProcessIdentity): number[] {
  if (isAnothers(vmm)) return []
  const group = groupMembers(vmm.pid)
  return group.length === 0 && isAlive(vmm) ? [vmm.pid] : group
}

function signalAll(vmm: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (isAnothers(vmm)) return
  for (const target of [-vmm.pid, vmm.pid])
    try {
      process.kill(target, signal)
      return
    } catch {
      // It leads no group, or has ended in between.
    }
}

async function haveEnded(name: string, vmm: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  // Again while there are any: a member may start others without end.
  for (let [first] = living(vmm); first !== undefined; [first] = living(vmm)) {
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) return false
    const pidfd = pidfdOpen(first)
    if (pidfd === ESRCH) {
      await sleep(LOOK_MS)
      continue
    }
    if (pidfd instanceof Errno)
      throw new QemuError(`program of VM ${name} (process ${first}) cannot be ended: ${pidfd}`)
    try {
      await waitExit(pidfd, leftMs)
    } finally {
      close(pidfd)
    }
  }
  return true
}
