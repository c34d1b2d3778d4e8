/**
 * `guestmemfs dpkg STEP`: what the scripts of the Debian package do once its files are unpacked, or before
 * they are removed. For those scripts alone.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Argument } from 'commander'
import type { CommandModule } from '../cli/command.ts'
import { complain, print } from '../cli/print.ts'
import { checkKernel } from '../host/check-kernel.ts'
import { checkQemu } from '../host/check-tools.ts'
import { removeLeftVersions } from '../host/install-program.ts'
import { isInFstab } from '../host/next-boot.ts'
import {
  installPackaged,
  removeFormerPackaged,
  removeInstalled,
  removePackaged,
} from '../host/packaged-program.ts'
import { thisProgram } from '../host/this-program.ts'
import type { UsedVersion } from '../host/versions/remove-versions.ts'
import { usersOf } from '../host/versions/version-users.ts'
import { READ_FORMATS } from '../pool/formats.ts'
import { checkNoPoolInUse } from '../pool/pools-in-use.ts'
import { restartKeepers } from '../pool/restart-keepers.ts'
import { reloadUnits, unit } from '../pool/systemd-unit.ts'

const LOCAL_COMMAND = '/usr/local/bin/guestmemfs'

/** Pools, processes and units are those of this machine: with another root there are none to care for. */
const isMachine = (root: string): boolean => root === '/'

const STEPS = {
  /** postinst configure: this version is current, and every pool of a unit goes over to it. */
  configure: async (root: string): Promise<void> => {
    const { folder, name, former } = installPackaged(root, thisProgram(), READ_FORMATS)
    print(
      former === undefined || former === name ? `current: ${name}` : `current: ${name}, before: ${former}`,
    )
    moveInstalled(root)
    if (isMachine(root)) await takeOverPools(folder)
    const left = [...removeFormerPackaged(root).used, ...removeLeftVersions(root).used]
    for (const version of left) print(usedLine(version))
    if (isMachine(root)) sayWhatIsMissing()
  },
  /** postinst after a removal or an upgrade that did not happen. */
  restore: async (root: string): Promise<void> => {
    installPackaged(root, thisProgram(), READ_FORMATS)
  },
  /** prerm remove: refused while a pool or a process needs the program. */
  remove: async (root: string): Promise<void> => {
    if (isMachine(root)) checkNoPoolInUse()
    await removePackaged(root)
    if (isMachine(root) && isInFstab())
      complain(
        'a line of /etc/fstab mounts a pool: take it out, or the next boot may stop at it (systemd.mount(5), nofail)',
      )
  },
} as const

function moveInstalled(root: string): void {
  const { edited, uninstalled } = removeInstalled(root)
  for (const path of edited)
    complain(
      `what 'guestmemfs install' wrote is kept, and goes before the package's: ${path} was changed since: take it away (a drop-in may have your changes), then install the package again`,
    )
  if (uninstalled !== undefined) print("removed what 'guestmemfs install' had written")
  if (existsSync(join(root, LOCAL_COMMAND)))
    complain(`${LOCAL_COMMAND} is not the package's, and a shell finds it first`)
}

async function takeOverPools(current: string): Promise<void> {
  reloadUnits('/')
  const { former, down } = await restartKeepers(() => usersOf(current))
  for (const pool of down)
    complain(
      `pool '${pool}': ${unit(pool)} did not come up; its server serves on: see 'journalctl -u ${unit(pool)}'`,
    )
  for (const { pool, pid, advice } of former)
    complain(`process ${pid} of another version keeps pool '${pool}' until you type: ${advice}`)
}

const usedLine = ({ name, pids }: UsedVersion): string =>
  `kept version ${name}: process ${pids.join(', ')} runs it`

/** No package of Debian's can be depended on for these: a kernel that is installed need not run. */
function sayWhatIsMissing(): void {
  for (const { severity, subject, message, advice } of [checkKernel(), checkQemu()])
    if (severity === 'error') complain([subject, message, advice].filter(Boolean).join(': '))
}

export const command: CommandModule = {
  name: 'dpkg',
  group: undefined,
  summary: '',
  changes: true,
  register: (command) =>
    command
      .addArgument(new Argument('<step>').choices(Object.keys(STEPS)))
      .option('--root <dir>', '', '/')
      .action((step: keyof typeof STEPS, { root }: { readonly root: string }) => STEPS[step](root)),
}
