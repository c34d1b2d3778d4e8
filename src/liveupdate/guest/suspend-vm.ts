/**
 * The suspension of one guest before the jump: saved, on record, and stopped in a QEMU that the jump ends.
 * Until then `resumeVm` can continue it in that same QEMU.
 */
import { close } from '../../linux/descriptors.ts'
import type { TriedLine } from '../../qemu/carry/next-line.ts'
import { runStatus } from '../../qemu/migration.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { checkNotContinued, saveGuestState } from '../../qemu/save-and-quit.ts'
import type { Asleep } from '../../qemu/sleep/goes-on.ts'
import { putToSleep } from '../../qemu/sleep/put-to-sleep.ts'
import { ramFileOf, type VmDefinition } from '../../qemu/vm-definition.ts'
import { readVms, type Vm } from '../../qemu/vm-list.ts'
import { saveVmm } from '../../qemu/vmm/save-vmm.ts'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { lockForUpdate, vmPaths } from '../../run/vm-runtime.ts'
import { formatTimeout } from '../../values/duration.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import { nowMs } from '../report/timeline.ts'

export interface SuspendedVm {
  readonly vm: Vm
  readonly savedAtMs: number
}

/** A VM's update lock, as long as this process has not released it. */
export interface HeldLock {
  /**
   * From then on the watcher of all guests treats the end of QEMU as the end of the VM, and another command
   * may update it.
   */
  readonly release: () => void
  readonly isReleased: () => boolean
}

/** Errors (UsageError): another command has it, or the VM does not run. */
export async function holdLock({ definition }: Vm): Promise<HeldLock> {
  readRunning(definition)
  let lock = await lockForUpdate(definition.name)
  if (lock === undefined) throw new UsageError('another update of it is under way')
  const release = () => {
    if (lock !== undefined) close(lock)
    lock = undefined
  }
  return { release, isReleased: () => lock === undefined }
}

export interface Patience {
  /** For the migration. */
  readonly timeoutMs: number
  /**
   * For the save as a whole, however often QEMU answers: all other guests, stopped meanwhile, wait this long
   * for one that does not come to its end.
   */
  readonly patienceMs: number
}

/**
 * Has its agent suspend the guest, while all others run. The caller holds the VM's lock. undefined: it does
 * not run. Errors: as of `putToSleep`, and QemuError: its QEMU does not answer.
 */
export async function sleepVm({ definition }: Vm, timeoutMs: number): Promise<Asleep | undefined> {
  const vm = readRunning(definition)
  const qmp = await QmpClient.connect(vmPaths(definition.name).qmp, timeoutMs)
  try {
    if (!(await runStatus(qmp)).running) return undefined
    return await putToSleep({ definition: vm.definition, qmp, qemu: vm.qemu, timeoutMs })
  } finally {
    qmp.close()
  }
}

/**
 * The caller holds the VM's lock. `tried`, `asleep`: as of `SaveRequest`. Errors (QemuError,
 * CorruptBytesError, UsageError): the guest is as it was before. GuestStoppedError: it is stopped in its
 * QEMU.
 */
export async function suspendVm(
  { definition }: Vm,
  tried: TriedLine | undefined,
  { timeoutMs, patienceMs }: Patience,
  asleep?: Asleep,
): Promise<SuspendedVm> {
  const vm = readRunning(definition)
  if (vm.definition.vmm !== undefined) {
    const save = { definition: vm.definition, vmm: vm.qemu, timeoutMs: patienceMs, onStep: () => {} }
    await saveVmm(save)
    return { vm, savedAtMs: nowMs() }
  }
  const began = performance.now()
  const qmp = await QmpClient.connect(vmPaths(definition.name).qmp, patienceMs)
  qmp.patienceMs = patienceMs
  // Past it nothing is undone here, which would take more time: the guest counts as stopped, and is continued
  // over another connection, at the same time as all others.
  qmp.endWithin(patienceMs - (performance.now() - began), lateMessage(patienceMs))
  try {
    await saveGuestState({
      definition: vm.definition,
      qmp,
      qemu: vm.qemu,
      tried: tried && { ...tried, sleeps: false },
      asleep,
      nextQemu: undefined,
      timeoutMs,
      onStep: () => {},
    })
  } finally {
    qmp.close()
  }
  return { vm, savedAtMs: nowMs() }
}

/**
 * Right before the jump, by another connection: why a suspended guest is not as it was saved; undefined: it
 * is, or its QEMU has ended. Of a guest of another VMM nothing can be asked. Never rejects.
 */
export async function whyNotSuspended({ vm }: SuspendedVm, patienceMs: number): Promise<string | undefined> {
  const { definition, qemu } = vm
  if (qemu === undefined || definition.vmm !== undefined) return undefined
  let qmp: QmpClient | undefined
  try {
    qmp = await QmpClient.connect(vmPaths(definition.name).qmp, patienceMs)
    qmp.patienceMs = patienceMs
    await checkNotContinued(qmp, qemu)
    return undefined
  } catch (error) {
    return isAlive(qemu) ? errorText(error) : undefined
  } finally {
    qmp?.close()
  }
}

const lateMessage = (patienceMs: number): string =>
  `it was not saved within ${formatTimeout(patienceMs)}, while the other guests are stopped: give it more with --patience`

/**
 * The VM as it is now: it may have ended since the preflight. Under its update lock no other command changes
 * it. Errors (UsageError): it does not run.
 */
function readRunning(definition: VmDefinition): Vm & { readonly qemu: ProcessIdentity } {
  const [vm] = readVms([ramFileOf(definition)]).vms
  if (vm?.qemu !== undefined) return { ...vm, qemu: vm.qemu }
  throw new UsageError(`it is ${vm?.state ?? 'gone'} now`)
}
