/**
 * The replacement of the program of another VMM than QEMU while its guest's memory stays: it is saved, its
 * program ends, and the next one is started from its state. Two of them are never there at once.
 */
import { close } from '../../linux/descriptors.ts'
import { openNamespaces } from '../../linux/setns.ts'
import { closeStreams, startQemu } from '../../qemu/start/start-process.ts'
import { ramFileOf } from '../../qemu/vm-definition.ts'
import { endVmm } from '../../qemu/vmm/end-vmm.ts'
import { saveVmm } from '../../qemu/vmm/save-vmm.ts'
import { isTaken, startVmm } from '../../qemu/vmm/start-vmm.ts'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime } from '../../run/vm-runtime.ts'
import { errorText } from '../../values/errors.ts'
import type { VmTimeline } from '../report/timeline.ts'
import { streamsOf } from './process-streams.ts'
import type { UpdateRun } from './update-run.ts'
import { NO_QEMU } from './why-quit-first.ts'

/** The caller holds the VM's update lock. Rejects with the error of a step that has undone itself. */
export async function replaceVmm(run: UpdateRun, vmm: ProcessIdentity): Promise<VmTimeline> {
  const { before: definition, onStep, request } = run
  const { timeoutMs } = request
  const { name } = definition
  run.quitFirst = NO_QEMU
  request.check?.()
  const streams = streamsOf(vmm.pid)
  const namespaces = openNamespaces(vmm.pid)
  try {
    const before = readRuntime(name)
    const saved = await saveVmm({ definition, vmm, timeoutMs, onStep })
    run.stateBytes = saved.saved?.sizeBytes ?? 0
    try {
      await endVmm(name, vmm)
      onStep('quit')
      const { ended } = startQemu('next', ramFileOf(definition), { streams, namespaces })
      const running = await startVmm({ definition: saved, before, ended, timeoutMs, onStep })
      return run.updated({ definition: running, unset: [] })
    } catch (error) {
      if (isTaken(saved)) return run.result('stranded', errorText(error))
      const problem = `${errorText(error)}; RAM and state file ${saved.statePath} are kept`
      return run.result('saved', `${problem}: go on with 'guestmemfs resume --name ${name}'`)
    }
  } finally {
    closeStreams(streams)
    for (const fd of namespaces) close(fd)
  }
}
