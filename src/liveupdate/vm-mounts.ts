/** The mounts that hold VMs' RAM, and the VMs recorded in them. */
import { join } from 'node:path'
import { DeadMount, findMount, type PoolMount, poolMounts, readVirtualList } from '../pool/pool-view.ts'
import { isInside } from '../qemu/memory-backends.ts'
import { ramFileOf, type VmDefinition } from '../qemu/vm-definition.ts'
import { readVms, type VmList } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'

export interface VmMount extends PoolMount {
  /** RAM files that have a VM's record. */
  readonly recorded: readonly string[]
  /**
   * It was not named: `recorded` has only those of its VMs that have RAM in the named mount. Left out
   * otherwise.
   */
  readonly isBeside?: true
}

export interface VmMounts {
  readonly mounts: readonly VmMount[]
  /** One line for each mount that does not answer: the others are listed all the same. */
  readonly problems: readonly string[]
}

/**
 * The mount that the operator named by mount point or pool, with those that record VMs with RAM in it; or
 * all. Errors (UsageError): there is no such mount, or the one that was named is dead.
 */
export function vmMounts(named: string | undefined): VmMounts {
  if (named === undefined) return allMounts()
  const mount = namedMount(named)
  return { mounts: [mount, ...otherMounts(mount)], problems: [] }
}

/** Errors: as of `vmMounts`. */
export const namedMount = (named: string): VmMount => vmMount(findMount(named))

/** The other mounts that record VMs with RAM in this one; dead ones are left out. */
function otherMounts({ mountPoint }: PoolMount): VmMount[] {
  return allMounts().mounts.flatMap((other) => {
    if (other.mountPoint === mountPoint) return []
    const spanning = readVms(other.recorded).vms.filter(({ definition }) => hasRamIn(definition, mountPoint))
    if (spanning.length === 0) return []
    return [{ ...other, recorded: spanning.map(({ definition }) => ramFileOf(definition)), isBeside: true }]
  })
}

export const hasRamIn = ({ ramFiles }: Pick<VmDefinition, 'ramFiles'>, mountPoint: string): boolean =>
  ramFiles.some(({ path }) => isInside(path, mountPoint))

function allMounts(): VmMounts {
  const mounts: VmMount[] = []
  const problems: string[] = []
  for (const mount of poolMounts()) {
    try {
      mounts.push(vmMount(mount))
    } catch (error) {
      if (!(error instanceof DeadMount)) throw error
      problems.push(error.message)
    }
  }
  return { mounts, problems }
}

export const vmMount = (mount: PoolMount): VmMount => ({
  ...mount,
  recorded: recordedFiles(mount.mountPoint),
})

/**
 * Every VM with RAM in one mount: the named one, or the only one. Errors (UsageError): no or several mounts.
 */
export function vmsOfMount(named: string | undefined): VmList & { readonly mountPoint: string } {
  const { mountPoint } = findMount(named)
  return { mountPoint, ...readVms(vmMounts(mountPoint).mounts.flatMap(({ recorded }) => recorded)) }
}

function recordedFiles(mountPoint: string): string[] {
  return readVirtualList(mountPoint, 'vms').map((item) => {
    const path = (item as { path?: unknown }).path
    if (typeof path !== 'string')
      throw new UsageError(`${mountPoint} lists its VMs in a way that this version cannot read`)
    return join(mountPoint, path)
  })
}
