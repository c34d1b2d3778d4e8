/** `guestmemfs uninstall`: remove what `install` wrote, and nothing else. */
import type { CommandModule } from '../cli/command.ts'
import { print } from '../cli/print.ts'
import { uninstallProgram } from '../host/install-program.ts'
import { refuseWhileSaved } from '../libvirt/set-up.ts'
import { reloadUnits } from '../pool/systemd-unit.ts'

function uninstallHere({ prefix }: { readonly prefix: string }): void {
  refuseWhileSaved(prefix)
  const { removed, kept, versions } = uninstallProgram(prefix)
  for (const path of removed) print(`removed ${path}`)
  for (const path of kept) print(`kept ${path}: it was changed since`)
  for (const name of versions.removed) print(`removed version ${name}`)
  for (const { name, pids } of versions.used)
    print(`kept version ${name}: process ${pids.join(', ')} runs it; uninstall again when it has ended`)
  reloadUnits(prefix)
}

export const command: CommandModule = {
  name: 'uninstall',
  group: 'Setup',
  summary: 'remove what install wrote; pools and their memory are not touched',
  changes: true,
  register: (command) =>
    command.option('--prefix <dir>', 'where it was installed', '/').action(uninstallHere),
}
