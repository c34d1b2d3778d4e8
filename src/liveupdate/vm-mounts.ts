/** The mounts that hold VMs' RAM, and the VMs recorded in them. */
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { DeadMount, findMount, type PoolMount, poolMounts, readVirtualList } from '../pool/pool-view.ts'
import { readVms, type VmList } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'

export interface VmMount extends PoolMount {
  /** RAM files that have a VM's record. */
  readonly recorded: readonly string[]
}

export interface VmMounts {
  readonly mounts: readonly VmMount[]
  /** One line for each mount that does not answer: it must not hold up the others. */
  readonly problems: readonly string[]
}

/**
 * The mount a person named by mount point or pool, or all. Errors (UsageError): there is no such mount, or
 * the one that was named is dead.
 */
export function vmMounts(named: string | undefined): VmMounts {
  if (named !== undefined) return { mounts: [vmMount(findMount(resolved(named)))], problems: [] }
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

/** Every VM of one mount: the named one, or the only one. Errors (UsageError): no or several mounts. */
export function vmsOfMount(named: string | undefined): VmList & { readonly mountPoint: string } {
  const { mountPoint } = findMount(named === undefined ? undefined : resolved(named))
  return { mountPoint, ...readVms(recordedFiles(mountPoint)) }
}

function recordedFiles(mountPoint: string): string[] {
  return readVirtualList(mountPoint, 'vms').map((item) => {
    const path = (item as { path?: unknown }).path
    if (typeof path !== 'string')
      throw new UsageError(`${mountPoint} lists its VMs in a way this version does not know`)
    return join(mountPoint, path)
  })
}

/** A mount point may be named through a symlink; a pool's name is no path. */
function resolved(named: string): string {
  try {
    return named.includes('/') ? realpathSync(named) : named
  } catch {
    return named
  }
}
