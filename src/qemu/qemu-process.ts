/** One QEMU as a child of the VM's supervisor: its start, in the VM's cgroup, and its end. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { joinCgroup } from '../linux/cgroup.ts'
import { identify, type ProcessIdentity } from '../run/process-identity.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { spawnQemu } from './spawn-qemu.ts'
import type { Launch } from './start-arguments.ts'
import type { VmDefinition } from './vm-definition.ts'

/** Standard input, output and error of QEMU: descriptors of this process. */
export type Streams = readonly [number, number, number]

/** How a QEMU ended. */
export interface GuestEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface QemuProcess {
  readonly child: ChildProcess
  /** undefined: it did not start, or has ended already. */
  readonly identity: ProcessIdentity | undefined
  /** Rejects (UsageError) where the program does not start. */
  readonly ended: Promise<GuestEnd>
}

/** `monitor`: the listening socket of its QMP. Errors (UsageError): those of `spawnQemu`. */
export function startQemu(
  definition: VmDefinition,
  launch: Launch,
  streams: Streams,
  monitor: Fd,
): QemuProcess {
  const child = spawnQemu(definition, launch, [...streams, monitor])
  // 'error' rejects: the program could not be started.
  const ended = once(child, 'exit').then(
    ([code, signal]): GuestEnd => ({ code, signal }),
    (cause: unknown) => {
      const { message } = cause as Error
      throw new UsageError(`VM ${definition.name}: ${launch.argv[0]} does not start: ${message}`, { cause })
    },
  )
  ended.catch(() => {}) // the caller that awaits the end gets the rejection
  if (child.pid === undefined) return { child, identity: undefined, ended }
  // After a reboot or from another session it may not exist: then QEMU is in its supervisor's.
  if (definition.cgroup !== null) joinCgroup(child.pid, definition.cgroup)
  return { child, identity: identify(child.pid), ended }
}

export const endWords = ({ code, signal }: GuestEnd): string =>
  signal === null ? `ended with status ${code}` : `was killed by ${signal}`
