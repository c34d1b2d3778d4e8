/**
 * The programs of the guests' next QEMUs, by what each says of itself: whether it has the guest's machine
 * type, and can load a guest that is suspended. Must not: start a guest's machine.
 */
import { probeBinary, type QemuBinary } from '../../qemu/binary.ts'
import { hasMachineType } from '../../qemu/machine-type.ts'
import { loadProblem } from '../../qemu/sleep/goes-on.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { errorText } from '../../values/errors.ts'

export class NextPrograms {
  readonly #nextQemu: string | undefined
  readonly #probes = new Map<string, Promise<QemuBinary>>()

  /** `nextQemu`: of all guests; undefined: each has the recorded one. */
  constructor(nextQemu: string | undefined) {
    this.#nextQemu = nextQemu
  }

  /** Why it cannot be the guest's, one line each. `isSuspended`: the guest is so when it is saved. */
  async problems(definition: VmDefinition, isSuspended: boolean): Promise<string[]> {
    const path = this.#nextQemu ?? (definition.argv[0] as string)
    const key = `${definition.uid} ${path}`
    const probe = this.#probes.get(key) ?? probeBinary(path, definition)
    this.#probes.set(key, probe)
    try {
      const problem = programProblem(await probe, definition.machineType, isSuspended)
      return problem === undefined ? [] : [problem]
    } catch (error) {
      return [errorText(error)]
    }
  }
}

/** Pure. */
export function programProblem(
  binary: QemuBinary,
  machineType: string,
  isSuspended: boolean,
): string | undefined {
  const { path, version } = binary
  const ofSleep = loadProblem(version, isSuspended)
  if (ofSleep !== undefined) return `${path} (QEMU ${version}): ${ofSleep}`
  if (hasMachineType(binary, machineType)) return undefined
  return `${path} (QEMU ${version}) has no machine type ${machineType}`
}
