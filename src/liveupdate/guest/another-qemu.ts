/**
 * A saved guest whose QEMU cannot continue it (`NeedsAnotherQemuError`) goes on in another one, in the place
 * of the first: its standard streams, its namespaces, its unit. The caller holds the VM's update lock.
 */
import { close } from '../../linux/descriptors.ts'
import { openNamespaces } from '../../linux/setns.ts'
import { killQemu } from '../../qemu/end-qemu.ts'
import { markErrorOutput } from '../../qemu/error-output.ts'
import { type ContinuedGuest, type LoadRequest, loadAndContinue } from '../../qemu/load-and-continue.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { mainUnitOf } from '../../qemu/start/guest-unit.ts'
import { closeStreams, startQemu } from '../../qemu/start/start-process.ts'
import { hasVfio } from '../../qemu/vfio-devices.ts'
import { ramFileOf, type VmDefinition } from '../../qemu/vm-definition.ts'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, vmPaths } from '../../run/vm-runtime.ts'
import { startPlaceholder } from './placeholder.ts'
import { streamsOf } from './process-streams.ts'

const CONNECT_TIMEOUT_MS = 3000

/**
 * `definition`: on record as saved. `qemu`: that has saved it. Errors: GuestLoadError; QemuError, UsageError:
 * the first one may be there still. The guest stays saved.
 */
export async function continueInAnother(
  definition: VmDefinition,
  qemu: ProcessIdentity,
  { timeoutMs, onStep }: Pick<LoadRequest, 'timeoutMs' | 'onStep'>,
): Promise<ContinuedGuest> {
  const { name } = definition
  const mark = markErrorOutput(name)
  const place = { streams: streamsOf(qemu.pid), namespaces: openNamespaces(qemu.pid) }
  try {
    const before = readRuntime(name)
    const placeholder = await startPlaceholder(mainUnitOf(qemu.pid), definition, qemu, timeoutMs)
    await quit(definition, qemu, timeoutMs)
    const { ended } = placeholder ?? startQemu('next', ramFileOf(definition), place)
    return await loadAndContinue({ definition, before, ended, mark, timeoutMs, onStep })
  } finally {
    closeStreams(place.streams)
    for (const fd of place.namespaces) close(fd)
  }
}

async function quit({ name, argv }: VmDefinition, qemu: ProcessIdentity, timeoutMs: number): Promise<void> {
  const qmp = await QmpClient.connect(vmPaths(name).qmp, CONNECT_TIMEOUT_MS).catch(() => undefined)
  await qmp?.execute('quit').catch(() => {})
  qmp?.close()
  // Of one with VFIO the kernel first resets devices, and unpins all RAM, a page at a time.
  await killQemu(name, qemu, hasVfio(argv) ? timeoutMs : undefined)
}
