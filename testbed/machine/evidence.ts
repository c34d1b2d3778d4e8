/**
 * Evidence on a failed run, beside the scenario's own: from QEMU, the console, the agent, and guestmemfs
 * processes in the host.
 */
import { existsSync, readFileSync } from 'node:fs'
import type { Stop } from './control.ts'

/** In bytes, or characters of the console. */
export const MAX_LAST_WORDS = 64 * 1024

/**
 * A script that prints the last lines of guestmemfs processes: the pools' logs, and standard error of
 * programs.
 */
const PRINT_WORDS = `shopt -s nullglob
  for file in /run/guestmemfs/pools/*.log /run/guestmemfs/vm/*/log /run/testbed/logs/*.err; do
    echo "== $file"; tail -c 16384 "$file"
  done
  if [ -d /run/systemd/system ]; then
    echo '== journal'; journalctl --no-pager -b -u 'guestmemfs*' -u 'libvirt*' -u 'virt*' | tail -c 65536
  fi`

/** Prints the states of guests that are still saved, in base64 of gzip: what their QEMUs did not take. */
const PRINT_STATES = `shopt -s nullglob
  for file in /mnt/*/*.vmstate; do
    echo "== $file"; head -c 4194304 "$file" | gzip -9 | base64
  done`

/** Prints the run state of each guest, and where its processor is. */
const PRINT_GUESTS = 'exec node /opt/testbed/guestmemfs/testbed/programs/guests/registers.ts'

/** By the name of the file in the folder of the logs that gets what the script prints. */
export const PRINTS = { guests: PRINT_GUESTS, processes: PRINT_WORDS, states: PRINT_STATES } as const

/** Prints StoppedGuest[] as JSON. */
export const PRINT_STOPPED = 'node /opt/testbed/guestmemfs/testbed/programs/guests/stopped.ts'

/** A QEMU inside, at the end of the run, whose guest does not run. */
export interface StoppedGuest {
  readonly pid: number
  /** Its run state in QMP's words. */
  readonly state: string
  /** It is a tiny guest, whose code and tables are in its RAM as they were built. */
  readonly hasItsCode: boolean
  /** It is one whose code was never loaded, while all of SeaBIOS that it executes by then is in its RAM. */
  readonly isInFirmware: boolean
}

/** The start of a QEMU inside, by the clock outside. `logs`: those that it writes. */
export interface QemuStart {
  readonly key: string
  readonly pid: number
  readonly atMs: number
  readonly logs: readonly string[]
  /** Its RAM is not in a file of a pool or of a device. */
  readonly hasOwnRam: boolean
  /** It was started to wait for a guest. Where it writes no log, it was a trial. */
  readonly isIncoming: boolean
}

/** What QEMU, the console and the agent report of a run, beside the scenario's own. */
export interface HostEvidence {
  /** The console from the first line of an oops or a panic on. */
  readonly crash: string | undefined
  readonly stop: (Stop & { readonly qemuLog: string }) | undefined
  /** The host was booting. */
  readonly isBooting: boolean
  /** Lines of /proc/modules. */
  readonly kvmModules: readonly string[]
  readonly qemuStarts: readonly QemuStart[]
  /** Empty as well where the host no longer answers. */
  readonly stoppedGuests: readonly StoppedGuest[]
}

/** The end of QEMU's log, which has resets and triple faults. */
export function readTail(file: string): string {
  return existsSync(file) ? readFileSync(file, 'latin1').slice(-MAX_LAST_WORDS) : ''
}
