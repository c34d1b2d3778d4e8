/**
 * What the start of a VM's QEMU takes: arguments, credentials, environment.
 *
 * QEMU opens its RAM file by itself, and the kernel lets only CAP_SYS_RAWIO open /dev/mem. So the QEMU of
 * another user's guest is started as root, with `-run-with user=`: QEMU becomes that user when its machine is
 * built and before a virtual CPU runs, and keeps no capability. Until then it must be trusted as this program
 * is (devmem-trust.ts). docs/internals/devmem-store.md says what that protects, and what it does not.
 */
import type { Credentials } from '../../linux/credentials.ts'
import { UsageError } from '../../values/errors.ts'
import { parseCommandLine, printCommandLine } from '../command-line.ts'
import { trustedProgram } from '../devmem-trust.ts'
import { findVmUser, rootEnvironment } from '../identity.ts'
import { compareVersions, type QemuVersion } from '../qemu-version.ts'
import { findRamMappings, hasWindow, type RamMapping, withRamMappings } from '../ram-mapping.ts'
import { incomingArgv } from '../vm-command-line.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { vmmLaunch } from '../vmm/vmm-launch.ts'

/** The first with `-run-with user=` (qemu-options.hx). */
const RUN_WITH_USER: QemuVersion = '9.0.0'
const ROOT: Credentials = { uid: 0, gid: 0, groups: [0] }

export interface Launch {
  /** The program, absolute, and its arguments. */
  readonly argv: readonly string[]
  readonly credentials: Credentials
  readonly environment: Readonly<Record<string, string>>
}

/**
 * `incoming`: QEMU waits for the state of a guest. Maps a page of each of the guest's windows, if it has any,
 * until this process executes QEMU; the watcher of all guests keeps them from before that on. `mappings`:
 * where the mount is not there yet. Errors (UsageError): QEMU cannot map its RAM, or cannot be trusted with
 * /dev/mem.
 */
export function prepareStart(
  definition: VmDefinition,
  how: 'power-on' | 'incoming',
  mappings: readonly RamMapping[] = findRamMappings(definition),
): Launch {
  const { environment, name, qemuVersion } = definition
  if (definition.vmm !== undefined) return vmmLaunch(definition, definition.vmm.start)
  const line = withRamMappings(parseCommandLine(definition.argv), mappings)
  const recorded = printCommandLine(line)
  const argv = how === 'power-on' ? recorded : incomingArgv(recorded)
  if (definition.uid === 0 || !hasWindow(mappings)) return { argv, credentials: definition, environment }
  const program = trustedProgram(line.binary)
  if (compareVersions(qemuVersion as QemuVersion, RUN_WITH_USER) < 0)
    throw new UsageError(
      `VM ${name}: only root opens /dev/mem, and QEMU ${qemuVersion} cannot become another user: take ${RUN_WITH_USER} or newer, or --user root`,
    )
  return {
    argv: [program, ...argv.slice(1), '-run-with', `user=${userOf(definition)}`],
    credentials: ROOT,
    environment: rootEnvironment(environment),
  }
}

/**
 * By name, so that QEMU sets all groups of the user; a number without an entry in passwd with its own group.
 */
function userOf({ uid, gid }: Credentials): string {
  const { name } = findVmUser(String(uid), {})
  return name === String(uid) ? `${uid}:${gid}` : name
}
