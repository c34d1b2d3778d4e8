/**
 * The namespaces that a QEMU runs in, against those of the process that will start the next one: the same
 * name of a tap or a file means another one in another namespace. namespaces(7).
 */
import { readlinkSync } from 'node:fs'

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
 * Where the next QEMU is started. `here`: by this process, in those namespaces of the guest's QEMU that a
 * thread can enter (`linux/setns.ts`). `next-kernel`: by a unit, after a kexec.
 */
export type NextStart = 'here' | 'next-kernel'

const ENTERED: readonly Kind[] = ['net', 'ipc', 'uts']

/** One line for each namespace of `pid` that the guest's next QEMU would not be in. */
export function otherNamespaces(pid: number, next: NextStart): string[] {
  return KINDS.flatMap((kind) => {
    if (next === 'here' && ENTERED.includes(kind)) return []
    const its = namespaceOf(String(pid), kind)
    // A machine may hide those of process 1 even from root.
    const starter = namespaceOf(starterOf(kind, next), kind) ?? namespaceOf('self', kind)
    if (its === undefined || its === starter) return []
    return [
      `its QEMU runs in a ${WHAT[kind]} namespace of its own, and the next one would not: start it by 'guestmemfs run' in the host's, and have what it needs there`,
    ]
  })
}

/**
 * Units of the next kernel are in the namespaces of process 1. Their mounts cannot be known here: the mount
 * namespace of this process stands in for theirs.
 */
const starterOf = (kind: Kind, next: NextStart): string => (next === 'here' || kind === 'mnt' ? 'self' : '1')

/** Whether a program that this process starts sees what `pid` sees. */
export const sharesNamespaces = (pid: number): boolean =>
  KINDS.every((kind) => namespaceOf(String(pid), kind) === namespaceOf('self', kind))

/** Whether `pid` is in this process's network namespace. */
export const isOurNetwork = (pid: number): boolean =>
  namespaceOf(String(pid), 'net') === namespaceOf('self', 'net')

/** undefined: the process has ended, or this one may not read its namespaces. */
function namespaceOf(pid: string, kind: Kind): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`)
  } catch {
    return undefined
  }
}
