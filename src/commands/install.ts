/** Owns `guestmemfs install`: put the mount helper, the command and the unit where the system looks for them. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { print } from '../cli/print.ts'
import { askConsent } from '../host/consent.ts'
import { install } from '../host/install.ts'
import { installFiles } from '../host/install-files.ts'
import { thisProgram } from '../host/this-program.ts'
import { UsageError } from '../values/errors.ts'

interface InstallOptions {
  readonly prefix: string
  readonly yes?: boolean
}

/** Only where systemd runs and the files went where it reads them. */
export function reloadUnits(prefix: string): void {
  if (prefix === '/' && existsSync('/run/systemd/system')) spawnSync('systemctl', ['daemon-reload'])
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

export function registerInstall(program: Command): void {
  program
    .command('install')
    .description('install the mount helper, the command and the systemd unit')
    .option('--prefix <directory>', 'install below this directory', '/')
    .option('-y, --yes', 'do not ask')
    .action(installHere)
}
