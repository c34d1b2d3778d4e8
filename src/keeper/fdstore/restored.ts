/**
 * The descriptors that the service manager passes to the unit's next start (sd_listen_fds(3)): those that the
 * last keeper had put into its store. This process holds them until a new keeper has copied them, like any
 * other holder (takeover/copy-fds.ts).
 */
import { close, setCloseOnExec } from '../../linux/descriptors.ts'
import { memfdIdentity } from '../../linux/memory.ts'
import { identifySelf, type ProcessIdentity } from '../../run/process-identity.ts'
import type { DescriptorTable } from '../../stores/memfd/descriptor-table.ts'
import { HandoverWords } from '../../stores/memfd/handover-status.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { mapTable } from '../areas.ts'
import { isStoredObject, storedObject } from './fdstore.ts'

const FIRST_FD = 3
export interface StoredPool {
  readonly process: ProcessIdentity
  /** The FUSE connection is among them. */
  readonly isConnected: boolean
  /**
   * Makes this process the holder of the pool. There must be no other: a server that is alive still reads the
   * same table.
   */
  readonly becomeHolder: () => void
  /** Closes the connection of a mount that is gone, so that no keeper copies it. */
  readonly closeConnection: () => void
}

/** What the manager's store held, by this environment: names, in the order of the descriptors. */
export function storedNames(environment: NodeJS.ProcessEnv): string[] {
  const count = Number(environment.LISTEN_FDS ?? 0)
  return (environment.LISTEN_FDNAMES ?? '').split(':').slice(0, count)
}

/**
 * Takes the descriptors that the manager passed to this process. undefined: there is no pool among them. No
 * process that this one starts inherits them. Must be called before anything else opens descriptors.
 */
export function takeStored(environment: NodeJS.ProcessEnv): StoredPool | undefined {
  if (environment.LISTEN_PID !== String(process.pid)) return undefined
  const names = storedNames(environment)
  const descriptors = names.map((_, index) => (FIRST_FD + index) as Fd)
  for (const fd of descriptors) setCloseOnExec(fd, true)
  if (!names.includes('runtime')) return undefined
  const table = descriptors[names.indexOf('table')]
  let fuse = descriptors[names.indexOf('fuse')]
  return {
    process: identifySelf(),
    get isConnected() {
      return fuse !== undefined
    },
    becomeHolder: () => table !== undefined && rewriteTable(mapTable(table), names, descriptors),
    closeConnection: () => {
      if (fuse !== undefined) close(fuse)
      fuse = undefined
    },
  }
}

/**
 * The last keeper's table, with the numbers that its descriptors have here. An object that did not reach the
 * store is lost, and its file answers so. An object is lost, too, where the store has another memfd under its
 * number: numbers are used again, and the keeper may have died before the manager read its messages that
 * remove the former memfd and store the new one. The file would show another file's bytes. A handover that
 * was under way has ended with its sessions.
 */
export function rewriteTable(
  table: DescriptorTable,
  names: readonly string[],
  descriptors: readonly Fd[],
): void {
  const isIts = (object: ObjectId, fd: Fd): boolean =>
    table.identity(object) === 0 || table.identity(object) === memfdIdentity(fd)
  const stored = new Map<ObjectId, Fd>()
  for (const [index, name] of names.entries()) {
    if (!isStoredObject(name)) continue
    const [object, fd] = [storedObject(name), descriptors[index] as Fd]
    // The manager may hold both under one name.
    if (isIts(object, fd)) stored.set(object, fd)
  }
  for (const object of table.objects()) table.setState(object, stored.has(object) ? 'present' : 'lost')
  new HandoverWords(table.words, 'keeper').apply('sessions lost')
  table.clear('keeper')
  table.clear('server')
  for (const [object, fd] of stored) table.set(object, 'keeper', fd)
}
