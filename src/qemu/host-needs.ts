/**
 * What a saved guest needs of its host besides its RAM, and what a host may get only after a command has
 * begun, as at boot: taps in their bridges, devices bound to VFIO's driver.
 */
import { type Tap, tapProblems } from './taps.ts'
import { vfioProblems } from './vfio-devices.ts'
import type { VmDefinition } from './vm-definition.ts'

/** One line for each that is not there. */
export const missingOfHost = (
  definition: Pick<VmDefinition, 'argv' | 'vmm'> & { readonly taps?: readonly Tap[] | undefined },
): string[] => [...tapProblems(definition), ...vfioProblems(definition)]
