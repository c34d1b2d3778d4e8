/** A real QEMU whose monitor does one wrong thing at one message (`relay-faults.ts`). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readingAtStart } from '../../src/qemu/machine/kept-reading.ts'
import { readRuntime } from '../../src/run/vm-runtime.ts'
import { until } from '../mount/support.ts'
import { program, WHEN_PROBED } from './fake-qemu.ts'

/**
 * `lie`: answers something else; `pretend`: answers and does not do it; `refuse`: an error; `stall`: does it,
 * and from then on nothing comes back; `close`: does it, and closes; `flood`: thousands of events around the
 * answer; `endless`: a message without end; `drop`: the event `command` is never sent; `delay`: each answer
 * of the connection takes a while; `claim`: says `claim`.
 */
export type How =
  | 'lie'
  | 'claim'
  | 'pretend'
  | 'refuse'
  | 'stall'
  | 'close'
  | 'flood'
  | 'endless'
  | 'drop'
  | 'delay'

export interface Fault {
  /** Another one counts connections anew. */
  readonly round: number
  /** Of the QEMU that has the guest, of the one that waits for it, or of the one that is tried. */
  readonly role: 'old' | 'next' | 'trial'
  /** The first one, the second one, … of this QEMU in this round. */
  readonly connection: number
  /** Of the command that is met; `greeting` for QEMU's own. */
  readonly command: string
  /** Which one of them; default: the first. */
  readonly nth?: number
  readonly how: How
  readonly claim?: object
}

export interface FaultyQemu {
  readonly path: string
  /** From the next connection on; undefined: it does all right again. */
  readonly set: (fault: Omit<Fault, 'round'> | undefined) => void
}

/** `lines`: of its shell program, for a start that is no guest's. */
export function faultyQemu(folder: string, ...lines: string[]): FaultyQemu {
  const fault = join(folder, 'fault')
  const socket = join(folder, 'monitor')
  let round = 0
  const path = program(
    folder,
    'qemu-faulty',
    WHEN_PROBED,
    ...lines,
    `socket=${socket}-$$`,
    'case "$*" in *" -monitor none -display none") role=trial;; *-incoming*) role=next;; *) role=old;; esac',
    `${process.execPath} --disable-warning=ExperimentalWarning ${join(import.meta.dirname, 'relay-faults.ts')} ${fault} $socket $role &`,
    'exec 3<&-',
    'set -- $(echo "$@" | sed "s|fd=3,server=on|path=$socket,server=on|")',
    'exec qemu-system-x86_64 "$@"',
  )
  const set: FaultyQemu['set'] = (next) => {
    round++
    writeFileSync(fault, JSON.stringify({ ...(next ?? { role: 'none', connection: 0 }), round }))
  }
  set(undefined)
  return { path, set }
}

/** The watcher connects once after the start, to read the machine: no fault is to meet that connection. */
export function untilRead(name: string): Promise<void> {
  const isRead = (): boolean => {
    const qemu = readRuntime(name)?.qemu
    return qemu !== undefined && qemu !== null && readingAtStart(name, qemu) !== undefined
  }
  return until('the machine is read', isRead, 60_000)
}
