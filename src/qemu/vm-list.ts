/** The list of recorded VMs, each with its state. */
import * as v from 'valibot'
import type { ProcessIdentity } from '../run/process-identity.ts'
import { liveQemu, runtimeProblem } from '../run/vm-runtime.ts'
import type { DeepReadonly } from '../values/deep-readonly.ts'
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

export const ListedVmSchema = v.object({
  name: v.string(),
  uuid: v.pipe(v.nullable(v.string()), v.description("libvirt's; null: it is no domain of libvirt.")),
  state: v.pipe(
    v.picklist(['running', 'stopped', 'saved', 'dead']),
    v.description('stopped: by an update that was killed, in a QEMU that is alive.'),
  ),
  pid: v.nullable(v.number()),
  uid: v.number(),
  order: v.number(),
  ramFile: v.pipe(v.string(), v.description('The first of its files of RAM, which has its record.')),
  ramFiles: v.array(v.object({ path: v.string(), sizeBytes: v.number(), isShared: v.boolean() })),
  ramBytes: v.number(),
  machineType: v.string(),
  qemuVersion: v.string(),
  savedAtMs: v.nullable(v.number()),
})
/** A plain value for operators and scripts. */
export type ListedVm = DeepReadonly<v.InferOutput<typeof ListedVmSchema>>

/** `isStopped`: by an update, in a QEMU that runs. */
export function describeVm({ definition, state, qemu }: Vm, isStopped: boolean): ListedVm {
  const { name, machineType, qemuVersion, uid, order, saved } = definition
  return {
    name,
    uuid: null,
    state: isStopped ? 'stopped' : state,
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
