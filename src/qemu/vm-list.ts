/** The list of recorded VMs, each with its state. */

import type { ProcessIdentity } from '../run/process-identity.ts'
import { liveQemu, runtimeProblem } from '../run/vm-runtime.ts'
import { errorText } from '../values/errors.ts'
import { ramBytesOf, ramFileOf, readDefinition, type VmDefinition } from './vm-definition.ts'

export interface Vm {
  readonly definition: VmDefinition
  /**
   * 'running': its QEMU is alive. 'saved': it is not, and the guest can be resumed. 'dead': its QEMU was
   * killed; the RAM is there, the rest of the guest is not.
   */
  readonly state: 'running' | 'saved' | 'dead'
  readonly qemu: ProcessIdentity | undefined
}

export interface VmList {
  /** By `order`, then by name. */
  readonly vms: readonly Vm[]
  /** One line for each VM whose records cannot be read; the others are listed all the same. */
  readonly problems: readonly string[]
}

/** The VMs recorded on `ramFiles`; files without a record are ignored. */
export function readVms(ramFiles: readonly string[]): VmList {
  const definitions = new Map<string, VmDefinition>()
  const problems: string[] = []
  for (const ramFile of ramFiles) {
    try {
      const definition = readDefinition(ramFile)
      if (definition !== undefined) definitions.set(ramFileOf(definition), definition)
    } catch (error) {
      problems.push(errorText(error))
    }
  }
  const known = [...definitions.values()].filter(({ name }) => {
    const problem = runtimeProblem(name)
    if (problem !== undefined) problems.push(problem)
    return problem === undefined
  })
  return { vms: known.map(lookAt).sort(byOrder), problems }
}

function byOrder({ definition: a }: Vm, { definition: b }: Vm): number {
  return a.order - b.order || (a.name < b.name ? -1 : 1)
}

function lookAt(definition: VmDefinition): Vm {
  const qemu = liveQemu(definition.name, ramFileOf(definition))
  const state = qemu !== undefined ? 'running' : definition.saved !== null ? 'saved' : 'dead'
  return { definition, state, qemu }
}

/**
 * A plain value for operators and scripts; sizes in bytes. `isStopped`: by an update, in a QEMU that runs.
 */
export function describeVm({ definition, state, qemu }: Vm, isStopped: boolean) {
  const { name, machineType, qemuVersion, uid, order, saved } = definition
  return {
    name,
    state: isStopped ? ('stopped' as const) : state,
    pid: qemu?.pid ?? null,
    uid,
    order,
    ramFile: ramFileOf(definition),
    ramFiles: definition.ramFiles.map(({ path, sizeBytes, isShared = false }) => ({
      path,
      sizeBytes,
      isShared,
    })),
    ramBytes: ramBytesOf(definition),
    machineType,
    qemuVersion,
    savedAtMs: saved === null ? null : Math.round(saved.stoppedAtMs),
  }
}
