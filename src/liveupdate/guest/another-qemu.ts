/**
 * A saved guest whose QEMU cannot continue it (`NeedsAnotherQemuError`) goes on in another one, in the place
 * of the first: its standard streams, its namespaces, its unit. The caller holds the VM's update lock.
 */
import { close } from '../../linux/descriptors.ts'
import { openNamespaces } from '../../linux/setns.ts'
import { quitSaved } from '../../qemu/end-qemu.ts'
import { markErrorOutput } from '../../qemu/error-output.ts'
import type { LoadRequest } from '../../qemu/load-and-continue.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { mainUnitOf } from '../../qemu/start/guest-unit.ts'
import { closeStreams, startQemu } from '../../qemu/start/start-process.ts'
import { ramFileOf, type VmDefinition } from '../../qemu/vm-definition.ts'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, vmPaths } from '../../run/vm-runtime.ts'
import { endPlaceholder, startPlaceholder } from './placeholder.ts'
import { streamsOf } from './process-streams.ts'

const CONNECT_TIMEOUT_MS = 3000

/**
 * Ends `qemu`, and returns what the load in the next one takes. `definition`: on record as saved. Errors
 * (QemuError, UsageError): the first one may be there still, and the guest stays saved.
 */
export async function startAnother(
  definition: VmDefinition,
  qemu: ProcessIdentity,
  timeoutMs: number,
): Promise<Pick<LoadRequest, 'before' | 'ended' | 'mark'>> {
  const { name } = definition
  const mark = markErrorOutput(name)
  const place = { streams: streamsOf(qemu.pid), namespaces: openNamespaces(qemu.pid) }
  try {
    const before = readRuntime(name)
    const unit = mainUnitOf(qemu.pid)
    const placeholder = await startPlaceholder(unit, definition, qemu, timeoutMs)
    const qmp = await QmpClient.connect(vmPaths(name).qmp, CONNECT_TIMEOUT_MS).catch(() => undefined)
    try {
      await quitSaved(definition, qmp, qemu, timeoutMs)
    } catch (error) {
      await endPlaceholder(unit, definition, placeholder, qemu)
      throw error
    } finally {
      qmp?.close()
    }
    const { ended } = placeholder ?? startQemu('next', ramFileOf(definition), place)
    return { before, ended, mark }
  } finally {
    closeStreams(place.streams)
    for (const fd of place.namespaces) close(fd)
  }
}
