/**
 * What `guestmemfs install --libvirt` puts on a machine besides the rest; the Debian package has none of it.
 * Pure. Must not: change what libvirt or an administrator owns. Where libvirt looks: docs/hooks.rst of
 * libvirt; AppArmor's rules for its guests: src/security/apparmor/libvirt-qemu, which includes the folder
 * that ends in `.d`.
 */
import { EMULATOR } from '../values/libvirt-paths.ts'
import { unitWord } from '../values/shell-word.ts'
import { isInstalledFile } from './install-and-remove.ts'
import { type CommandWords, fstabGenerator, type InstallFile, LOCAL_PLACES } from './install-files.ts'
import { emulatorScript, libvirtHook } from './libvirt-hook.ts'

export const LIBVIRT_HOOK = '/etc/libvirt/hooks/qemu.d/guestmemfs'

/** One process for all drivers, or one for QEMU alone: a host has either. */
const DAEMONS = ['libvirtd.service', 'virtqemud.service'] as const

/**
 * Before the daemon: it changes the owner of a folder in the pool and has no QEMU where it cannot, as in a
 * frozen pool. Its failure must not keep the daemon from starting (`-`).
 */
const daemonDropIn = (
  command: CommandWords,
): string => `# Installed by guestmemfs. "guestmemfs uninstall" removes it.
[Service]
ExecStartPre=-${command.map(unitWord).join(' ')} before-libvirt
`

/** Of every guest's QEMU. Its RAM in a pool of memfds needs no rule: libvirt makes one for its folder. */
const apparmorRules = `# Installed by guestmemfs: guests of libvirt in a carve-out. "guestmemfs uninstall" removes it.
  ${EMULATOR} rmix,
  /dev/guestmemfs/*/* rw,
`

export const libvirtFiles = (command: CommandWords): InstallFile[] => [
  { path: LIBVIRT_HOOK, mode: 0o755, text: libvirtHook() },
  ...DAEMONS.map((daemon) => ({
    path: `${LOCAL_PLACES.units}/${daemon}.d/guestmemfs.conf`,
    mode: 0o644,
    text: daemonDropIn(command),
  })),
  {
    path: `${LOCAL_PLACES.generators}/guestmemfs-libvirt`,
    mode: 0o755,
    text: fstabGenerator("libvirt's daemon starts after the mounts of fstab", DAEMONS),
  },
  { path: EMULATOR, mode: 0o755, text: emulatorScript },
  { path: '/etc/apparmor.d/abstractions/libvirt-qemu.d/guestmemfs', mode: 0o644, text: apparmorRules },
]

/** Whether a former install was one with `--libvirt`: a later one keeps what it installed. */
export const hasLibvirtFiles = (prefix: string): boolean => isInstalledFile(prefix, LIBVIRT_HOOK)
