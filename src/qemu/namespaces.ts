/**
 * The namespaces that a QEMU runs in, against those of whoever will start the next one: a tap that is made,
 * or a file that is opened, in another namespace is another tap, another file. namespaces(7).
 */
import { readlinkSync } from 'node:fs'
import { isAlive } from '../run/process-identity.ts'
import { readRuntime } from '../run/vm-runtime.ts'

const KINDS = ['net', 'mnt', 'ipc', 'uts', 'pid', 'user'] as const
type Kind = (typeof KINDS)[number]

const WHAT: Readonly<Record<Kind, string>> = {
  net: 'network',
  mnt: 'mount',
  ipc: 'IPC',
  uts: 'UTS',
  pid: 'PID',
  user: 'user',
}

/**
 * Who starts the next QEMU: the guest's supervisor, or a new one where that has ended; after a kexec a unit
 * of the next kernel's.
 */
export type NextStart = 'here' | 'next-kernel'

/** One line for each namespace of `pid` that the guest's next QEMU would not be in. */
export function otherNamespaces(name: string, pid: number, next: NextStart): string[] {
  const supervisor = readRuntime(name)?.supervisor
  const isSupervised = next === 'here' && supervisor !== undefined && isAlive(supervisor)
  return KINDS.flatMap((kind) => {
    const its = namespaceOf(String(pid), kind)
    const starter = namespaceOf(isSupervised ? String(supervisor.pid) : starterOf(kind, next), kind)
    if (its === undefined || its === starter) return []
    return [
      `its QEMU runs in a ${WHAT[kind]} namespace of its own, and the next one would not: start it by 'guestmemfs run' in the host's, and have what it needs there`,
    ]
  })
}

/**
 * The next kernel's units are in namespaces of process 1. Whose mounts they see is not known here: those of
 * this process are as good as any.
 */
const starterOf = (kind: Kind, next: NextStart): string => (next === 'here' || kind === 'mnt' ? 'self' : '1')

/** Whether a program that this process starts sees what `pid` sees. */
export const sharesNamespaces = (pid: number): boolean =>
  KINDS.every((kind) => namespaceOf(String(pid), kind) === namespaceOf('self', kind))

/** What this process sees of the network is what `pid` sees. */
export const isOurNetwork = (pid: number): boolean =>
  namespaceOf(String(pid), 'net') === namespaceOf('self', 'net')

/** undefined: the process has ended, or it may not be looked at. */
function namespaceOf(pid: string, kind: Kind): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`)
  } catch {
    return undefined
  }
}
