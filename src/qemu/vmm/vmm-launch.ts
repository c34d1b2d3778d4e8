/** What a VMM other than QEMU is started with: its line or its `--start`, and the environment. */
import type { VmDefinition } from '../vm-definition.ts'

/** In the place of QEMU's version, and of a type of its machines. */
export const NO_QEMU_VERSION = '-'
export const NO_MACHINE_TYPE = 'no QEMU'

/**
 * What its commands and its program find: the recorded variables, the VM's name, the path of its state file,
 * and the program's process. `pid`: undefined for the program itself.
 */
export function vmmEnvironment(
  { name, statePath, environment }: Pick<VmDefinition, 'name' | 'statePath' | 'environment'>,
  pid?: number,
): Record<string, string> {
  const ours = { GUESTMEMFS_VM: name, GUESTMEMFS_STATE: statePath }
  return { ...environment, ...ours, ...(pid !== undefined && { GUESTMEMFS_PID: String(pid) }) }
}

/** As of `Launch`: of a guest from power-on, or of a saved one, whose shell becomes the program. */
export const vmmLaunch = (definition: VmDefinition, start: string) => ({
  argv: definition.saved === null ? definition.argv : ['/bin/sh', '-c', start],
  credentials: definition,
  environment: vmmEnvironment(definition),
})
