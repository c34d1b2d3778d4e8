/**
 * The text of what `guestmemfs install` puts on a machine: the mount helper, the command, the unit. Pure.
 * Must not: write a file. Where mount(8) looks and what it passes: mount(8), "EXTERNAL HELPERS".
 */

import { join } from 'node:path'
import { shellWord, unitWord } from '../values/shell-word.ts'
import { CURRENT, LAUNCHER, LIBRARY } from './versions/version-folder.ts'

export interface InstallFile {
  /** Below the prefix, beginning with a slash. */
  readonly path: string
  readonly mode: number
  readonly text: string
}

/** The words that run guestmemfs, an absolute path first. */
export type CommandWords = readonly string[]

/** What is current below `prefix` when it is run. */
export const currentCommand = (prefix: string): CommandWords => [join(prefix, LIBRARY, CURRENT, LAUNCHER)]

/** In every file that guestmemfs writes, in all versions. */
export const MARK = '# Installed by guestmemfs'

const inShell = (command: CommandWords): string => command.map(shellWord).join(' ')
const inUnit = (command: CommandWords): string => command.map(unitWord).join(' ')

/**
 * mount(8) calls `mount.guestmemfs SPEC DIR [-sfnv] [-N namespace] [-o options] [-t type]`. For `mount -o
 * remount` it takes the type from /proc/self/mountinfo and calls `mount.fuse.guestmemfs `; without that
 * mount(8) calls the kernel itself, which answers success to any option.
 */
export const mountHelper = (command: CommandWords): string => `#!/bin/sh
# Installed by guestmemfs: makes "mount -t guestmemfs" and fstab lines work. "guestmemfs uninstall" removes it.
[ $# -ge 2 ] || { echo "usage: mount.guestmemfs NAME DIR [-sfnv] [-o OPTIONS]" >&2; exit 1; }
pool=$1 directory=$2 options= fake= verbose=
shift 2
while getopts sfnvN:o:t: flag; do
  case $flag in
    f) fake=1 ;;
    v) verbose=1 ;;
    o) options=\${options:+$options,}$OPTARG ;;
    N) echo "mount.guestmemfs: other mount namespaces are not supported" >&2; exit 1 ;;
    s | n | t) ;;
    *) exit 1 ;;
  esac
done
[ -z "$fake" ] || exit 0
[ -n "$verbose" ] || exec >/dev/null
exec ${inShell(command)} mount "$pool" "$directory" \${options:+-o "$options"}
`

export const commandScript = (command: CommandWords): string => `#!/bin/sh
# Installed by guestmemfs. "guestmemfs uninstall" removes it.
exec ${inShell(command)} "$@"
`

/**
 * One pool's keeper. It holds guest memory, so none of these may end it: isolate, shutdown's final kill (the
 * memory must be there until the kexec), the OOM killer. When it ends all the same, systemd restarts the unit
 * and a new keeper takes over from the server, which holds the memory, too. `systemctl restart` does the
 * same, and `stop` ends the keeper alone: the server stays and serves. If both end, the unit gets the
 * descriptors from the manager's own store. Where there is nothing to take over, ExecCondition= ends the
 * restarts. `mount` of a parked pool reloads the unit: the new keeper then ends the old one with SIGKILL.
 * Shutdown stops every slice but the root, and with a slice what is in it: hence Slice=. Directives:
 * systemd.unit(5), systemd.service(5); SurviveFinalKillSignal= is new in 255, older ones warn and go on.
 */
export const keeperUnit = (
  command: CommandWords,
): string => `# Installed by guestmemfs. "guestmemfs uninstall" removes it.
[Unit]
Description=guestmemfs pool %i
DefaultDependencies=no
IgnoreOnIsolate=yes
SurviveFinalKillSignal=yes
StartLimitIntervalSec=0

[Service]
Type=forking
PIDFile=/run/guestmemfs/pools/%i.pid
Environment=GUESTMEMFS_UNIT=%i
ExecCondition=${inUnit(command)} keep --check %i
ExecStart=${inUnit(command)} keep %i
ExecReload=${inUnit(command)} keep %i
NotifyAccess=all
FileDescriptorStoreMax=4096
FileDescriptorStorePreserve=yes
KillMode=process
SendSIGKILL=no
TimeoutStopSec=10s
SuccessExitStatus=SIGKILL
Restart=always
RestartSec=100ms
Slice=-.slice
OOMScoreAdjust=-1000
LimitNOFILE=infinity
TasksMax=infinity
`

/**
 * Resumes the guests that an update of the kernel saved, at boot: after the mounts of fstab, before units
 * that wait for them. `local-fs.target` waits for no mount that may fail (`nofail`, systemd.mount(5)), so a
 * generator names each of them (`resumeGenerator`). There is no condition: systemd would check it once, when
 * it starts the unit, and a unit that is skipped is not tried again. Where no pool is mounted `resume` finds
 * nothing to do. A guest that fails is tried again, because what it lacks (a bridge, a disk) may come late.
 * The guests' QEMUs stay in this unit's cgroup when `resume` ends, unless they have one of their own, and
 * must outlive it also when the unit is stopped.
 */
export const resumeUnit = (
  command: CommandWords,
): string => `# Installed by guestmemfs. "guestmemfs uninstall" removes it.
[Unit]
Description=guestmemfs: resume saved guests
Wants=network.target
After=local-fs.target remote-fs.target network.target
StartLimitIntervalSec=10min
StartLimitBurst=5

[Service]
Type=oneshot
ExecStart=${inUnit(command)} resume
Restart=on-failure
RestartSec=10s
KillMode=process
SendSIGKILL=no
TimeoutStartSec=infinity
LimitNOFILE=infinity
TasksMax=infinity
`

/**
 * A generator (systemd.generator(7)): it reads fstab as systemd-fstab-generator does, symlinks followed, and
 * orders `units` after each guestmemfs mount there, by a drop-in `fstab.conf`. They wait for a line with
 * `noauto` only where another unit mounts it. `why`: for who reads the file.
 */
export const fstabGenerator = (why: string, ...units: readonly string[]): string => `#!/bin/sh
# Installed by guestmemfs: ${why}. "guestmemfs uninstall" removes it.
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
  for each in ${units.join(' ')}; do
    folder=\${1:?}/$each.d
    mkdir -p "$folder" || exit 1
    [ -e "$folder/fstab.conf" ] || echo '[Unit]' >"$folder/fstab.conf"
    echo "After=$unit" >>"$folder/fstab.conf"
    case ,$options, in
      *,noauto,*) ;;
      *) echo "Wants=$unit" >>"$folder/fstab.conf" ;;
    esac
  done
done <"$fstab"
exit 0
`

export const resumeGenerator = fstabGenerator(
  'saved guests are resumed after the mounts of fstab',
  'guestmemfs-resume.service',
)

/**
 * A drop-in with `Wants=` of the unit: a file like the others, instead of a link that `systemctl enable`
 * would make.
 */
export const resumeAtBoot = `# Installed by guestmemfs. "guestmemfs uninstall" removes it.
[Unit]
Wants=guestmemfs-resume.service
`

export const installFiles = (command: CommandWords): InstallFile[] => [
  { path: '/sbin/mount.guestmemfs', mode: 0o755, text: mountHelper(command) },
  { path: '/sbin/mount.fuse.guestmemfs', mode: 0o755, text: mountHelper(command) },
  { path: '/usr/local/bin/guestmemfs', mode: 0o755, text: commandScript(command) },
  { path: '/etc/systemd/system/guestmemfs@.service', mode: 0o644, text: keeperUnit(command) },
  { path: '/etc/systemd/system/guestmemfs-resume.service', mode: 0o644, text: resumeUnit(command) },
  { path: '/etc/systemd/system-generators/guestmemfs-resume', mode: 0o755, text: resumeGenerator },
  { path: '/etc/systemd/system/multi-user.target.d/guestmemfs.conf', mode: 0o644, text: resumeAtBoot },
]
