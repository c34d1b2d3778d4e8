/**
 * The change of the root image into a host with Debian's systemd as init: the units that it enables, and
 * those that it masks. Must not: depend on guestmemfs.
 */
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Added to the kernel command line of a scenario with systemd. */
export const SYSTEMD_INIT = 'init=/usr/lib/systemd/systemd'

export const SYSTEMD_PACKAGES = ['systemd', 'udev']

/** Units that need a bus, a keyboard or an operator, and those for the first boot of an installation. */
const MASKED = [
  'systemd-logind.service',
  'systemd-firstboot.service',
  'systemd-hwdb-update.service',
  'systemd-journal-catalog-update.service',
  'systemd-update-done.service',
  'systemd-networkd.service',
  'systemd-pstore.service',
  'ldconfig.service',
  'getty.target',
  'serial-getty@ttyS0.service',
]
const STARTED: Readonly<Record<string, string>> = {
  'testbed-setup.service': 'local-fs.target',
  'testbed-held-vm.service': 'multi-user.target',
  'testbed-agent.service': 'multi-user.target',
}

/** `inside`: the folder of the testbed's unit files. */
export function addSystemd(tree: string, inside: string): void {
  const units = join(tree, 'etc/systemd/system')
  const link = (target: string, path: string): void => {
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(target, path)
  }
  cpSync(inside, units, { recursive: true })
  for (const [unit, target] of Object.entries(STARTED))
    link(`../${unit}`, join(units, `${target}.wants`, unit))
  for (const unit of MASKED) link('/dev/null', join(units, unit))
  link('/usr/lib/systemd/system/multi-user.target', join(units, 'default.target'))
  // The same machine id in all kernels, so that they share a journal: a scenario reads the messages of the
  // shutdown in the next kernel.
  writeFileSync(join(tree, 'etc/machine-id'), `${'7e57bed0'.repeat(4)}\n`)
  mkdirSync(join(tree, 'var/log/journal'), { recursive: true })
}
