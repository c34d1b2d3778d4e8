/**
 * What speaks against saving the guests of an update, or against their next QEMU, found before any is paused.
 * Changes nothing that lasts.
 */
import { statfsSync } from 'node:fs'
import { lgetxattr } from '../../linux/xattr.ts'
import { probeBinary, type QemuBinary } from '../../qemu/binary.ts'
import { hasMachineType } from '../../qemu/machine-type.ts'
import { blockedReasons, runStatus, setCprReboot } from '../../qemu/migration.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { ramFileBytes } from '../../qemu/ram-file.ts'
import { SAVEABLE } from '../../qemu/save.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { vmPaths } from '../../run/vm-runtime.ts'
import { Errno } from '../../values/errno.ts'
import { errorText } from '../../values/errors.ts'
import { type Finding, fail } from '../../values/finding.ts'
import { PMD_BYTES } from '../../values/units.ts'
import { FROZEN_XATTR } from '../../values/xattr-names.ts'

/** `1` while the pool refuses every modification. */
const ONE = '1'.charCodeAt(0)
/** A state file takes at least one block of the pool. */
const STATE_BYTES = PMD_BYTES
const QMP_TIMEOUT_MS = 5_000

/** Why `vms` cannot be updated; empty: they can. */
export async function checkGuests(vms: readonly Vm[], nextQemu: string | undefined): Promise<Finding[]> {
  const probes = new Map<string, Promise<QemuBinary>>()
  const found = await Promise.all(
    vms.map(async (vm) => {
      const lines = [
        ...missingRam(vm.definition),
        ...(await nextQemuProblems(vm.definition, nextQemu, probes)),
      ]
      lines.push(...(await guestProblems(vm.definition)))
      const subject = `VM ${vm.definition.name}`
      return lines.map((line) => fail(subject, `${subject}: ${line}`))
    }),
  )
  return [...found.flat(), ...checkSpace(vms)]
}

/** QEMU makes a RAM file that is missing, empty: the guest's memory would be gone, and no error said so. */
export function missingRam({ ramFiles }: VmDefinition): string[] {
  return ramFiles.flatMap(({ path, sizeBytes }) => {
    try {
      const bytes = ramFileBytes(path)
      if (bytes === undefined) return [`its RAM file ${path} is missing`]
      return bytes < sizeBytes ? [`its RAM file ${path} is smaller than the guest's RAM`] : []
    } catch (error) {
      return [errorText(error)]
    }
  })
}

async function nextQemuProblems(
  definition: VmDefinition,
  nextQemu: string | undefined,
  probes: Map<string, Promise<QemuBinary>>,
): Promise<string[]> {
  const path = nextQemu ?? (definition.argv[0] as string)
  const key = `${definition.uid} ${path}`
  const probe = probes.get(key) ?? probeBinary(path, definition)
  probes.set(key, probe)
  try {
    const binary = await probe
    if (hasMachineType(binary, definition.machineType)) return []
    return [`${path} (QEMU ${binary.version}) has no machine type ${definition.machineType}`]
  } catch (error) {
    return [errorText(error)]
  }
}

async function guestProblems({ name }: VmDefinition): Promise<string[]> {
  let qmp: QmpClient | undefined
  try {
    qmp = await QmpClient.connect(vmPaths(name).qmp, QMP_TIMEOUT_MS)
    const { status } = await runStatus(qmp)
    if (!SAVEABLE.includes(status)) return [`the guest is in state '${status}'`]
    await setCprReboot(qmp, true)
    const blocked = await blockedReasons(qmp)
    await setCprReboot(qmp, false)
    return blocked.map((reason) => `cannot be saved: ${reason}`)
  } catch (error) {
    return [errorText(error)]
  } finally {
    qmp?.close()
  }
}

function checkSpace(vms: readonly Vm[]): Finding[] {
  const mountPoints = Map.groupBy(vms, ({ definition }) => definition.mountPoint)
  return [...mountPoints].flatMap(([mountPoint, theirs]) => {
    const frozen = lgetxattr(mountPoint, FROZEN_XATTR)
    if (!(frozen instanceof Errno) && frozen[0] === ONE)
      return [fail(mountPoint, `${mountPoint} is frozen: 'guestmemfs thaw' it first`)]
    const { bavail, bsize } = statfsSync(mountPoint)
    const needed = theirs.length * STATE_BYTES
    if (bavail * bsize >= needed) return []
    return [
      fail(
        mountPoint,
        `${mountPoint} has no room for ${theirs.length} state files: it needs ${needed} bytes, ${bavail * bsize} are free`,
      ),
    ]
  })
}
