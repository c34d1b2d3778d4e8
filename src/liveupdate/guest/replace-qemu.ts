/**
 * The replacement of one VM's QEMU while its memory stays. Its next QEMU is started first and waits, where
 * two QEMUs of that line can be there at once; else the old one ends first. The memory is kept whatever
 * fails, and the result says what to do next.
 */
import { close } from '../../linux/descriptors.ts'
import { setOomScore } from '../../linux/process.ts'
import { removeFormerBinary } from '../../qemu/former-binary.ts'
import { endFormerSupervisor } from '../../qemu/former-supervisor.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { GuestStoppedError } from '../../qemu/save.ts'
import { mainUnitOf } from '../../qemu/start/guest-unit.ts'
import { withoutForwards } from '../../qemu/successor/clashes.ts'
import { endLeftOver } from '../../qemu/successor/left-over.ts'
import { SuccessorRoom } from '../../qemu/successor/room.ts'
import { WaitingSuccessor } from '../../qemu/successor/waiting-successor.ts'
import { withBinary } from '../../qemu/vm-command-line.ts'
import { ramFileOf } from '../../qemu/vm-definition.ts'
import { readVms } from '../../qemu/vm-list.ts'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { lockForUpdate, vmPaths } from '../../run/vm-runtime.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import type { VmTimeline } from '../report/timeline.ts'
import { replaceQuitFirst } from './quit-first.ts'
import { replaceVmm } from './replace-vmm.ts'
import { resumeVm } from './resume-vm.ts'
import { transferGuest } from './successor-first.ts'
import { UpdateRun } from './update-run.ts'
import type { VmRequest } from './vm-result.ts'
import { whyQuitFirst } from './why-quit-first.ts'

/** For one answer of a QEMU, while the guest is stopped. */
const PATIENCE_MS = 3000
/** For the greeting of a QEMU that runs. */
const GREETING_TIMEOUT_MS = 5000

/** proc_pid_oom_score_adj(5). */
const MOST_OOM_SCORE = 1000

/** Never rejects: what goes wrong is in the result. */
export async function replaceQemu(request: VmRequest): Promise<VmTimeline> {
  const { definition } = request.vm
  const lock = await lockForUpdate(definition.name)
  if (lock === undefined)
    return new UpdateRun(request).result('rolled-back', 'another update of it is under way')
  try {
    // Another update may have changed the record since this one was planned.
    const [vm] = readVms([ramFileOf(definition)]).vms
    const run = new UpdateRun({ ...request, vm: vm ?? request.vm })
    return await replace(run).catch((error: unknown) => failed(run, error))
  } finally {
    removeFormerBinary(definition.name)
    close(lock)
  }
}

/** A guest that was saved suspended, and is stopped in the QEMU that has saved it, goes on in another one. */
async function failed(run: UpdateRun, error: unknown): Promise<VmTimeline> {
  const { request } = run
  if (!(error instanceof GuestStoppedError) || request.tried?.isSavedSuspended !== true)
    return run.failed(error)
  const result = await resumeVm({ ...request, nextQemu: undefined, isLocked: true })
  return result.outcome === 'resumed'
    ? { ...result, outcome: 'rolled-back', problem: errorText(error) }
    : run.failed(error)
}

async function replace(run: UpdateRun): Promise<VmTimeline> {
  const { request } = run
  const { room = new SuccessorRoom(), vm } = request
  const { qemu } = vm
  if (qemu === undefined) throw new UsageError(`it is ${vm.state} now`)
  if (run.before.vmm !== undefined) return await replaceVmm(run, qemu)
  await endFormerSupervisor(run.before.name)
  await endLeftOver(run.before.name)
  return await room.run(qemu.pid, async (hasRoom) => {
    run.request.check?.()
    run.unit = mainUnitOf(qemu.pid)
    run.quitFirst = whyQuitFirst(run.before, request.tried, { pid: qemu.pid, hasRoom })
    // Connected before anything is started: the end of the old QEMU is then known at once.
    const qmp = await QmpClient.connect(vmPaths(run.before.name).qmp, GREETING_TIMEOUT_MS)
    qmp.patienceMs = PATIENCE_MS
    try {
      const successor = run.quitFirst === null ? await startSuccessor(run, qemu) : undefined
      return successor === undefined
        ? await replaceQuitFirst(run, qemu, qmp)
        : await replaceSuccessorFirst(run, qemu, qmp, successor)
    } finally {
      qmp.close()
    }
  })
}

/** Errors (QemuError): the next QEMU does not start. */
async function startSuccessor(run: UpdateRun, qemu: ProcessIdentity): Promise<WaitingSuccessor> {
  const { nextQemu, tried, timeoutMs } = run.request
  const argv = withoutForwards(withBinary(run.line, nextQemu))
  const definition = { ...run.before, argv, ramFiles: tried?.ramFiles ?? run.before.ramFiles }
  const successor = await WaitingSuccessor.start(definition, qemu, run.unit, timeoutMs)
  successor.qmp.patienceMs = PATIENCE_MS
  // The OOM killer must end the successor before the guest's QEMU; `completeLoad` sets the guest's own score.
  setOomScore(successor.qemu.pid, MOST_OOM_SCORE)
  return successor
}

async function replaceSuccessorFirst(
  run: UpdateRun,
  qemu: ProcessIdentity,
  qmp: QmpClient,
  successor: WaitingSuccessor,
): Promise<VmTimeline> {
  const { nextQemu, tried, timeoutMs } = run.request
  const { before: definition, onStep } = run
  try {
    run.request.check?.()
    const onSaved = ({ sizeBytes }: { readonly sizeBytes: number }): void => {
      run.stateBytes = sizeBytes
    }
    const { unit } = run
    const request = {
      definition,
      successor,
      unit,
      qmp,
      qemu,
      tried,
      nextQemu,
      timeoutMs,
      onStep,
      onSaved,
    }
    return run.updated(await transferGuest(request))
  } finally {
    if (successor.hasTakenOver) await successor.close()
    else await successor.end().catch(() => {})
  }
}
