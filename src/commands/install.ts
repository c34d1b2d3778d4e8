/**
 * `guestmemfs install`: write the mount helper, the command and the systemd unit where the system looks for
 * them.
 */
import type { CommandModule } from '../cli/command.ts'
import { print } from '../cli/print.ts'
import { askConsent } from '../host/consent.ts'
import { install } from '../host/install.ts'
import { installFiles } from '../host/install-files.ts'
import { thisProgram } from '../host/this-program.ts'
import { reloadUnits } from '../pool/systemd-unit.ts'
import { UsageError } from '../values/errors.ts'

interface InstallOptions {
  readonly prefix: string
  readonly yes?: boolean
}

async function installHere({ prefix, yes }: InstallOptions): Promise<void> {
  const program = thisProgram()
  if (program.cli.includes('/_npx/')) {
    throw new UsageError(
      'npx keeps its packages only for a while: npm install -g guestmemfs, then install again',
    )
  }
  const files = installFiles(program)
  const question = `Write ${files.map(({ path }) => path).join(', ')} below ${prefix}?`
  if (!(await askConsent(question, { yes: yes === true }))) throw new UsageError('nothing was installed')
  for (const path of install(prefix, files)) print(path)
  reloadUnits(prefix)
}

export const command: CommandModule = {
  name: 'install',
  group: 'Setup',
  summary: 'install the mount helper, the command and the systemd unit',
  changes: true,
  register: (command) =>
    command
      .option('--prefix <directory>', 'install below this directory', '/')
      .option('-y, --yes', 'do not ask')
      .action(installHere),
}
