/** `guestmemfs uninstall`: remove what `install` wrote, and nothing else. */
import type { CommandModule } from '../cli/command.ts'
import { print } from '../cli/print.ts'
import { uninstall } from '../host/install.ts'
import { reloadUnits } from '../pool/systemd-unit.ts'

function uninstallHere({ prefix }: { readonly prefix: string }): void {
  const { removed, kept } = uninstall(prefix)
  for (const path of removed) print(`removed ${path}`)
  for (const path of kept) print(`kept ${path}: it was changed since`)
  reloadUnits(prefix)
}

export const command: CommandModule = {
  name: 'uninstall',
  group: 'Setup',
  summary: 'remove what install wrote; pools and their memory are not touched',
  changes: true,
  register: (command) =>
    command.option('--prefix <directory>', 'where it was installed', '/').action(uninstallHere),
}
