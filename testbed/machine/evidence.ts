/**
 * What is known of a run when it has failed, beside what the scenario saw: from the machine, its console, its
 * agent, and our processes in it.
 */
import { existsSync, readFileSync } from 'node:fs'
import type { Stop } from './control.ts'

/** In bytes, or characters of the console. */
export const MAX_LAST_WORDS = 64 * 1024

/** A script that prints what our processes said last: the pools' logs, and what programs complained of. */
export const PRINT_WORDS =
  'shopt -s nullglob; for file in /run/guestmemfs/pools/*.log /run/testbed/logs/*.err; do echo "== $file"; tail -c 16384 "$file"; done'

/** A QEMU that was started inside, by the clock outside. `logs`: those that it writes. */
export interface QemuStart {
  readonly key: string
  readonly atMs: number
  readonly logs: readonly string[]
  /** It is not in a file of a pool or of a device. */
  readonly hasOwnRam: boolean
}

/** What the machine, its console and its agent tell of a run, beside what the scenario saw. */
export interface HostEvidence {
  /** The console from the first line of an oops or a panic on. */
  readonly crash: string | undefined
  readonly stop: (Stop & { readonly qemuLog: string }) | undefined
  /** It was on its way into a kernel. */
  readonly isBooting: boolean
  /** Lines of /proc/modules. */
  readonly kvmModules: readonly string[]
  readonly qemuStarts: readonly QemuStart[]
}

/** QEMU writes little there: resets and triple faults. */
export function readTail(file: string): string {
  return existsSync(file) ? readFileSync(file, 'latin1').slice(-MAX_LAST_WORDS) : ''
}
