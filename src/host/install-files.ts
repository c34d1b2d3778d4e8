/**
 * The text of what `guestmemfs install` puts on a machine: the mount helper, the command, the unit. Pure.
 * Must not: write a file. Where mount(8) looks and what it passes: mount(8), "EXTERNAL HELPERS".
 */

import { join } from 'node:path'
import { NOT_WITH_OTHERS } from '../linux/fstab.ts'
import { shellWord, unitWord } from '../values/shell-word.ts'
import { earlyGenerator, earlyStartUnit, generatorScript } from './early-files.ts'
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
export const currentCommand = (prefix: string, library = LIBRARY): CommandWords => [
  join(prefix, library, CURRENT, LAUNCHER),
]

/** One of them is in every file that guestmemfs writes, in all versions; the second in what `share/` has. */
export const MARKS = ['# Installed by guestmemfs', "Made by 'npm run reference'"] as const

/** Folders where a machine looks for the files, and what takes them away again. */
export interface InstallPlaces {
  readonly helpers: string
  readonly commands: string
  readonly units: string
  readonly generators: string
  /** For manual pages, and for completions but those of zsh. */
  readonly share: string
  /** In the path of zsh's functions. */
  readonly zshFunctions: string
  readonly remover: string
}

/** Of `guestmemfs install`. */
export const LOCAL_PLACES: InstallPlaces = {
  helpers: '/sbin',
  commands: '/usr/local/bin',
  units: '/etc/systemd/system',
  generators: '/etc/systemd/system-generators',
  share: '/usr/local/share',
  zshFunctions: '/usr/local/share/zsh/site-functions',
  remover: 'guestmemfs uninstall',
}

/** Of the Debian package. */
export const PACKAGE_PLACES: InstallPlaces = {
  helpers: '/usr/sbin',
  commands: '/usr/bin',
  units: '/usr/lib/systemd/system',
  generators: '/usr/lib/systemd/system-generators',
  share: '/usr/share',
  zshFunctions: '/usr/share/zsh/vendor-completions',
  remover: 'apt-get remove guestmemfs',
}

const inShell = (command: CommandWords): string => command.map(shellWord).join(' ')
const inUnit = (command: CommandWords): string => command.map(unitWord).join(' ')

/**
 * mount(8) calls `mount.guestmemfs SPEC DIR [-sfnv] [-N namespace] [-o options] [-t type]`. For `mount -o
 * remount` it takes the type from /proc/self/mountinfo and calls `mount.fuse.guestmemfs `; without that
 * mount(8) calls the kernel itself, which answers success to any option.
 */
export const mountHelper = (command: CommandWords, { remover } = LOCAL_PLACES): string => `#!/bin/sh
# Installed by guestmemfs: makes "mount -t guestmemfs" and fstab lines work. "${remover}" removes it.
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

const commandScript = (command: CommandWords, { remover }: InstallPlaces): string => `#!/bin/sh
# Installed by guestmemfs. "${remover}" removes it.
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
  { remover } = LOCAL_PLACES,
): string => `# Installed by guestmemfs. "${remover}" removes it.
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
  { remover } = LOCAL_PLACES,
): string => `# Installed by guestmemfs. "${remover}" removes it.
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
 * A generator that orders `units` after each guestmemfs mount of fstab, by a drop-in `fstab.conf`. They wait
 * for a line with `noauto` only where another unit mounts it. `why`: for an operator who reads the file.
 */
export const fstabGenerator = (why: string, units: readonly string[], { remover } = LOCAL_PLACES): string =>
  generatorScript(
    `${why}. "${remover}" removes it.`,
    `  for each in ${units.join(' ')}; do
    folder=\${1:?}/$each.d
    mkdir -p "$folder" || exit 1
    [ -e "$folder/fstab.conf" ] || echo '[Unit]' >"$folder/fstab.conf"
    echo "After=$unit" >>"$folder/fstab.conf"
    case ,$options, in
      *,${NOT_WITH_OTHERS},*) ;;
      *) echo "Wants=$unit" >>"$folder/fstab.conf" ;;
    esac
  done
`,
  )

const resumeGenerator = (places: InstallPlaces): string =>
  fstabGenerator('saved guests are resumed after the mounts of fstab', ['guestmemfs-resume.service'], places)

/**
 * A drop-in with `Wants=` of the unit: a file like the others, instead of a link that `systemctl enable`
 * would make.
 */
const resumeAtBoot = ({
  remover,
}: InstallPlaces): string => `# Installed by guestmemfs. "${remover}" removes it.
[Unit]
Wants=guestmemfs-resume.service
`

/** All but manual pages and completions (`share-files.ts`). */
export function installFiles(command: CommandWords, places: InstallPlaces = LOCAL_PLACES): InstallFile[] {
  const { helpers, commands, units, generators } = places
  const [program, helper] = [commandScript(command, places), mountHelper(command, places)]
  return [
    { path: `${helpers}/mount.guestmemfs`, mode: 0o755, text: helper },
    { path: `${helpers}/mount.fuse.guestmemfs`, mode: 0o755, text: helper },
    { path: `${commands}/guestmemfs`, mode: 0o755, text: program },
    { path: `${units}/guestmemfs@.service`, mode: 0o644, text: keeperUnit(command, places) },
    { path: `${units}/guestmemfs-early@.service`, mode: 0o644, text: earlyStartUnit(command, places) },
    { path: `${units}/guestmemfs-resume.service`, mode: 0o644, text: resumeUnit(command, places) },
    { path: `${generators}/guestmemfs-early`, mode: 0o755, text: earlyGenerator(places) },
    { path: `${generators}/guestmemfs-resume`, mode: 0o755, text: resumeGenerator(places) },
    { path: `${units}/multi-user.target.d/guestmemfs.conf`, mode: 0o644, text: resumeAtBoot(places) },
  ]
}
