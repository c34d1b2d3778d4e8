/**
 * Owns the update of a whole host's kernel, in its order: load the next kernel, put guests and pools aside, jump; and all of it
 * undone where one step fails.
 */
import { closeSync, openSync } from 'node:fs'
import { loadKernel, syncFileSystems, unloadKernel } from '../../linux/kexec.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import {
  EADDRNOTAVAIL,
  EBADMSG,
  EKEYREJECTED,
  ENODATA,
  ENOEXEC,
  EPERM,
  type Errno,
} from '../../values/errno.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { nowMs, type VmTimeline } from '../report/timeline.ts'
import { jump } from './jump.ts'
import type { KernelPlan } from './kernel-plan.ts'
import { DeferredSignals } from './signals.ts'
import { type UpdateScope, UpdateSteps } from './update-steps.ts'

export interface KernelUpdate {
  readonly plan: KernelPlan
  readonly vms: readonly Vm[]
  /** For each step of each VM. */
  readonly timeoutMs: number
  /** One line for a person, as each step is done. */
  readonly say: (line: string) => void
}

export interface RolledBack {
  readonly reason: string
  readonly startedAtMs: number
  readonly vms: readonly VmTimeline[]
}

/**
 * Does not return where all goes well: this process ends with its kernel. Errors (UsageError): the next kernel could not be
 * loaded, and nothing was changed.
 */
export async function updateKernel(update: KernelUpdate): Promise<RolledBack> {
  const { plan, say } = update
  const startedAtMs = nowMs()
  load(plan)
  say(`kernel ${plan.next} is loaded`)
  const signals = new DeferredSignals()
  const way = new UpdateSteps(scope(update), startedAtMs)
  try {
    // Guests still run: what can be done ahead of their blackout is.
    await way.readClock()
    syncFileSystems()
    signals.check()
    // First, so that `guestmemfs resume` knows what to undo, should this process be killed on its way.
    way.writeUpdateRecord()
    // The guests' RAM takes time in proportion to its size, and they may write to it meanwhile.
    await way.preserve('ram')
    signals.check()
    await way.suspendAll()
    signals.check()
    way.freeze()
    await way.preserve('files')
    syncFileSystems()
    signals.check()
    way.releaseLocks()
    way.writeUpdateRecord()
    await way.preserve('image')
    say(`jumping into kernel ${plan.next}`)
    throw new UsageError(await jump(plan.via))
  } catch (error) {
    const reason = errorText(error)
    say(`${reason}: going back`)
    unloadKernel()
    return { reason, startedAtMs, vms: await way.rollBack() }
  } finally {
    signals.end()
  }
}

/** What kexec_file_load(2) means by them. */
const WHY: ReadonlyMap<Errno, string> = new Map([
  [EPERM, 'it is locked down, or kexec is switched off'],
  [ENODATA, 'it wants a signature, and there is none'],
  [EKEYREJECTED, 'it does not trust the signature'],
  [EBADMSG, 'the signature does not fit'],
  [ENOEXEC, 'it does not know such an image'],
  [EADDRNOTAVAIL, 'there is no room for it'],
])

function load({ kernel, initrd, commandLine }: KernelPlan): void {
  const fds = [kernel, ...(initrd === null ? [] : [initrd])].map((path) => openSync(path, 'r') as Fd)
  const failed = loadKernel(fds[0] as Fd, fds[1], commandLine)
  for (const fd of fds) closeSync(fd)
  if (failed === undefined) return
  throw new UsageError(`this kernel does not load ${kernel}: ${WHY.get(failed) ?? failed}`)
}

function scope({ plan, vms, timeoutMs }: KernelUpdate): UpdateScope {
  const { via, before, next = '', pools } = plan
  return { vms, pools, timeoutMs, change: { via, before, next } }
}
