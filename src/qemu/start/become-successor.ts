/**
 * The start of a guest's next QEMU, in this process, beside the one that has the guest: in that one's cgroup
 * and namespaces, with its streams and limits, and with the same lock, which is held until both have ended.
 */
import { fstatSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { joinCgroupOf } from '../../linux/cgroup.ts'
import { close, duplicateOver } from '../../linux/descriptors.ts'
import { pidfdGetFd, pidfdOpen, waitExit } from '../../linux/process.ts'
import { readProcessLimits } from '../../linux/process-limits.ts'
import { enterNamespaces, openNamespaces } from '../../linux/setns.ts'
import { listenUnix } from '../../linux/unix-listener.ts'
import {
  identifySelf,
  isAlive,
  isSameProcess,
  type ProcessIdentity,
  ProcessSchema,
} from '../../run/process-identity.ts'
import { readRuntime, tryLock, type VmPaths, vmPaths, writeRuntime } from '../../run/vm-runtime.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { parseDefinition, ramFileOf, type VmDefinition } from '../vm-definition.ts'
import { watchStart } from '../watch/watcher-client.ts'
import { becomeWith, recordedOn } from './become-qemu.ts'
import { executeQemu, LOCK_FD } from './execute-qemu.ts'
import { prepareStart } from './start-arguments.ts'

/** What the updating command leaves in the VM's directory for this process. */
const NextSchema = v.object({ former: ProcessSchema, definition: v.unknown() })

export const nextOf = (former: ProcessIdentity, definition: VmDefinition): string =>
  JSON.stringify({ former, definition })

/** The name of a successor's QMP socket in the VM's directory. */
export const socketOf = ({ pid }: Pick<ProcessIdentity, 'pid'>): string => `qmp-${pid}`

/** Errors (UsageError): the former QEMU has ended or is not on record, /run is full, QEMU does not start. */
export async function becomeSuccessor(name: string): Promise<never> {
  const { former, definition, pidfd, lock } = readNext(name)
  const limits = readProcessLimits(former.pid)
  joinCgroupOf(process.pid, former.pid)
  await watchStart({ name, definition, first: undefined })
  const launch = prepareStart(definition, 'incoming')
  const monitor = listenUnix(join(vmPaths(name).directory, socketOf(process)))
  putOnRecord(name, former)
  enterNamespaces(openNamespaces(former.pid))
  takeStreams(pidfd)
  executeQemu({ ...definition, limits }, launch, { monitor, lock })
}

/**
 * Waits until the former QEMU has ended, and becomes the next one then: where that cannot wait beside it, and
 * the guest's unit must have a main process at any time. It is on record as the successor, so that a command
 * which ends one that is left over ends it, too. Returns the exit status where a command before QEMU failed.
 * Errors (UsageError): as of `becomeSuccessor`; the guest was not saved.
 */
export async function becomePlaceholder(name: string): Promise<number> {
  const { former, definition, pidfd, lock } = readNext(name)
  joinCgroupOf(process.pid, former.pid)
  putOnRecord(name, former)
  enterNamespaces(openNamespaces(former.pid))
  takeStreams(pidfd)
  await waitExit(pidfd, -1)
  const now = recordedOn(ramFileOf(definition))
  if (now.saved === null) throw new UsageError(`VM ${name}: its QEMU has ended, and the guest was not saved`)
  return await becomeWith(lock, now, true)
}

interface Next {
  readonly former: ProcessIdentity
  readonly definition: VmDefinition
  readonly pidfd: Fd
  /** The VM's. */
  readonly lock: Fd
}

function readNext(name: string): Next {
  const paths = vmPaths(name)
  const next = v.parse(NextSchema, JSON.parse(readFileSync(paths.next, 'utf8')))
  const { former } = next
  const definition = parseDefinition(Buffer.from(JSON.stringify(next.definition)))
  const pidfd = pidfdOpen(former.pid)
  if (pidfd instanceof Errno || !isAlive(former)) throw new UsageError('its QEMU has ended')
  return { former, definition, pidfd, lock: lockOf(pidfd, paths) }
}

function putOnRecord(name: string, former: ProcessIdentity): void {
  const runtime = readRuntime(name)
  if (runtime?.qemu == null || !isSameProcess(runtime.qemu, former))
    throw new UsageError('its QEMU is not the one on record')
  writeRuntime(name, { ...runtime, successor: identifySelf() })
}

/** The VM's lock, as its QEMU holds it; a QEMU of a former version does not. */
function lockOf(pidfd: Fd, { lock: path }: VmPaths): Fd {
  const copy = pidfdGetFd(pidfd, LOCK_FD)
  const own = tryLock(path)
  // No process holds it: what QEMU has at that number is another file, or nothing.
  if (own !== undefined) {
    if (!(copy instanceof Errno)) close(copy)
    return own
  }
  if (!(copy instanceof Errno) && isSame(copy, path)) return copy
  throw new UsageError(`its lock ${path} is held by another process`)
}

/** QEMU's user may have put another file there. */
function isSame(fd: Fd, path: string): boolean {
  const [one, other] = [fstatSync(fd), statSync(path, { throwIfNoEntry: false })]
  return one.dev === other?.dev && one.ino === other.ino
}

function takeStreams(pidfd: Fd): void {
  for (const stream of [0, 1, 2] as Fd[]) {
    const copy = pidfdGetFd(pidfd, stream)
    if (copy instanceof Errno) throw new UsageError(`its QEMU has no standard streams: ${copy}`)
    duplicateOver(copy, stream)
    close(copy)
  }
}
