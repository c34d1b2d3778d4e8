/**
 * The text of the unit that lets saved guests go on before their pool is mounted, and of the generator that
 * asks for it. Pure. Must not: write a file.
 */
import { dirname } from 'node:path'
import { unitWord } from '../values/shell-word.ts'

/** What removes the files again, for an operator who reads one. */
interface Removed {
  readonly remover: string
}

/**
 * A generator (systemd.generator(7)): it reads fstab as systemd-fstab-generator does, symlinks followed, and
 * does `body` for each line of guestmemfs, with its words in `$source`, `$directory`, `$options`, and the
 * mount unit's name in `$unit`. `about`: for an operator who reads the file.
 */
export const generatorScript = (about: string, body: string): string => `#!/bin/sh
# Installed by guestmemfs: ${about}
fstab=\${SYSTEMD_FSTAB:-/etc/fstab}
[ -r "$fstab" ] || exit 0
while read -r source directory type options rest || [ -n "$source" ]; do
  case $source:$type in
    '#'*) continue ;;
    *:guestmemfs | *:fuse.guestmemfs) ;;
    *) continue ;;
  esac
  directory=$(realpath -m -- "$(printf '%b' "$directory")") || continue
  unit=$(systemd-escape --path --suffix=mount -- "$directory") || continue
${body}done <"$fstab"
exit 0
`

/**
 * Of the loader in the kernel's boot parameters, for a kernel that kexec started (`bzImage64_load()`,
 * arch/x86/kernel/kexec-bzimage64.c). A file of sysctl gives all of its number to the first read(2), of which
 * the `read` of dash takes one character.
 */
const LOADED_BY_KEXEC = 208

/**
 * It runs before the mount of fstab, which asks for it and is ordered after it (`earlyGenerator`). Itself it
 * is ordered after the mounts that guestmemfs lies in and a root that QEMU can write to, and nothing else:
 * for the rest the command waits, guest by guest. src/early/early-unit.ts has the argument why the guests'
 * memory needs no order of units. Whatever becomes of it, the mount follows: the command ends by itself after
 * 15 s, TimeoutStartSec= ends one that hangs, and nothing requires the unit. A boot that no kexec began has
 * no guest to start, so ExecCondition= skips it. RemainAfterExit= keeps a later mount in the same boot from
 * starting it again. The guests' QEMUs stay in its cgroup, as those of guestmemfs-resume.service in that
 * one's, unless they have one of their own: KillMode= and OOMPolicy=, so that neither its end nor that of one
 * QEMU ends the others. `command`: the words that run guestmemfs.
 */
export const earlyStartUnit = (
  command: readonly string[],
  { remover }: Removed,
): string => `# Installed by guestmemfs. "${remover}" removes it.
[Unit]
Description=guestmemfs: saved guests of pool %i go on before its mount
DefaultDependencies=no
IgnoreOnIsolate=yes
RequiresMountsFor=${unitWord(dirname(command[0] ?? '/'))}
After=systemd-remount-fs.service
Before=guestmemfs@%i.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecCondition=/bin/grep -qx ${LOADED_BY_KEXEC} /proc/sys/kernel/bootloader_type
ExecStart=${command.map(unitWord).join(' ')} early %i
KillMode=process
OOMPolicy=continue
TimeoutStartSec=30s
TimeoutStopSec=2s
LimitNOFILE=infinity
TasksMax=infinity
`

/**
 * A mount of a pool in a region has its early unit start first. By a drop-in of the mount, so that the unit
 * is started with that mount and with no other one, also with a line that has `noauto`.
 */
export const earlyGenerator = ({ remover }: Removed): string =>
  generatorScript(
    `saved guests go on before the mounts of fstab. "${remover}" removes it.`,
    `  case ,$options in
    *,store=*) ;;
    *) continue ;;
  esac
  case $source in
    *[!A-Za-z0-9_.-]*) continue ;;
  esac
  folder=\${1:?}/$unit.d
  mkdir -p "$folder" || exit 1
  early=guestmemfs-early@$source.service
  printf '[Unit]\\nWants=%s\\nAfter=%s\\n' "$early" "$early" >"$folder/guestmemfs-early.conf"
`,
  )
