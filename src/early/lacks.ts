/** What a saved guest lacks of its host at this moment of a boot. Must not: wait for it. */
import { missingHostFiles } from '../qemu/host-files.ts'
import { missingOfHost } from '../qemu/host-needs.ts'
import type { VmDefinition } from '../qemu/vm-definition.ts'

/** One line for each thing. */
export interface Lacks {
  /** It comes while the boot goes on, whatever waits for the pool's mount. */
  readonly soon: readonly string[]
  /**
   * It may come only once the pool is mounted: what brings it waits for the network, or for all local file
   * systems, of which the pool's mount is one.
   */
  readonly late: readonly string[]
}

export const isLacking = ({ soon, late }: Lacks): boolean => soon.length + late.length > 0

/** `lateMounts`: mount points of fstab that come late. */
export function hostLacks(definition: VmDefinition, lateMounts: ReadonlySet<string> = new Set()): Lacks {
  const { mounts, devices } = missingHostFiles(definition.hostFiles ?? { mounts: [], devices: [] })
  const line = (mount: string): string => `${mount} is not mounted`
  return {
    soon: [
      ...mounts.filter((mount) => !lateMounts.has(mount)).map(line),
      ...devices.map(({ path }) => `${path} is not there, or not set up as it was`),
    ],
    late: [...mounts.filter((mount) => lateMounts.has(mount)).map(line), ...missingOfHost(definition)],
  }
}
