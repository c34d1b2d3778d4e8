/** Owns `guestmemfs uninstall`: take away what install made, and nothing else. */
import type { Command } from 'commander'
import { print } from '../cli/print.ts'
import { uninstall } from '../host/install.ts'
import { reloadUnits } from './install.ts'

function uninstallHere({ prefix }: { readonly prefix: string }): void {
  const { removed, kept } = uninstall(prefix)
  for (const path of removed) print(`removed ${path}`)
  for (const path of kept) print(`kept ${path}: it was changed since`)
  reloadUnits(prefix)
}

export function registerUninstall(program: Command): void {
  program
    .command('uninstall')
    .description('remove what install made; pools and their memory are not touched')
    .option('--prefix <directory>', 'where it was installed', '/')
    .action(uninstallHere)
}
