/**
 * Owns what makes the root image a host whose init is systemd, as its own Debian packages have it: what of it
 * is switched on, and what a machine of this kind does without. Nothing here knows guestmemfs.
 */
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What a scenario's kernel command line says for it. */
export const SYSTEMD_INIT = 'init=/usr/lib/systemd/systemd'

export const SYSTEMD_PACKAGES = ['systemd', 'udev']

/** What asks for a bus, a keyboard or a person, and what only the first boot of an installation does. */
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

/** `inside`: the folder of our own unit files. */
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
  // One machine through all its kernels, and its journal with it: what was said on the way down is read in
  // the next one.
  writeFileSync(join(tree, 'etc/machine-id'), `${'7e57bed0'.repeat(4)}\n`)
  mkdirSync(join(tree, 'var/log/journal'), { recursive: true })
}
