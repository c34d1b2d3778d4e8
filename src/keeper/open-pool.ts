/**
 * Opens the pool that a keeper will hold: takes over a live holder, retrieves it from the former kernel, or
 * makes a new one. The previous holder keeps its descriptors until the new keeper serves
 * (`takeover/copy-fds.ts`).
 */

import { logPath } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import type { MemorySource } from '../server/messages.ts'
import { errorText, UsageError } from '../values/errors.ts'
import { isInRegion } from '../values/store-kinds.ts'
import { makeImage, makeRuntime, makeTable } from './areas.ts'
import type { KeeperOptions, PreviousHolder } from './contact.ts'
import { findIncoming, type Incoming } from './luo/find-incoming.ts'
import { LuoThread } from './luo/thread.ts'
import { MemfdTable } from './memfd-table.ts'
import { type PoolHandles, takeOver } from './takeover/copy-fds.ts'
import { resumeHolder, suspendHolder } from './takeover/holder-process.ts'

export interface OpenedPool {
  readonly handles: PoolHandles
  readonly source: MemorySource
}

/**
 * The former kernel preserved something for this pool that cannot be used, and this process holds its
 * sessions now: it must not end before the operator discards the pool.
 */
export class UnusableHandoverError extends UsageError {}

/** Errors: UsageError, with nothing changed; UnusableHandoverError. */
export async function openPool(options: KeeperOptions): Promise<OpenedPool> {
  const { pool, source, previousHolder } = options
  if (previousHolder !== null) return { handles: takeOverFrom(options, previousHolder), source }
  if (isInRegion(source) || (options.kind === 'mount' && options.isNew))
    return { handles: newPool(source), source }
  const found = await findIncoming(pool, new LuoThread())
  if (found === undefined) return { handles: newPool(source), source }
  if ('why' in found)
    throw new UnusableHandoverError(
      `pool '${pool}' was handed over by the former kernel, and ${found.why}: its memory is held by process ${process.pid}; to discard it, 'guestmemfs umount --discard ${pool}'`,
    )
  // The size that the mount asked for does not matter: the pool exists, and guests wait for it.
  const wholeSource = { ...source, totalBlocks: found.totalBlocks, isNew: false }
  return unusableUnless(pool, () => ({ handles: incomingPool(found), source: wholeSource }))
}

/** For work that is done once this process alone holds what the former kernel preserved. */
export function unusableUnless<T>(pool: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    const why = errorText(cause)
    throw new UnusableHandoverError(
      `pool '${pool}' was handed over by the former kernel, and ${why}: its memory is held by process ${process.pid}`,
      { cause },
    )
  }
}

function incomingPool({ sessions, incoming, lost, packed }: Incoming): PoolHandles {
  const { fd, table } = makeTable()
  for (const { object } of incoming) table.setState(object, 'incoming')
  for (const object of lost) table.setState(object, 'lost')
  return {
    areas: { runtime: makeRuntime(), memfd: [fd, makeImage()], packed },
    table,
    memfds: new MemfdTable(table),
    luoState: { kind: 'incoming', sessions, incoming },
    fuse: undefined,
  }
}

function newPool(source: MemorySource): PoolHandles {
  const { fd, table } = makeTable()
  const memfd = isInRegion(source) ? undefined : ([fd, makeImage()] as const)
  const areas = { runtime: makeRuntime(), memfd }
  return { areas, table, memfds: new MemfdTable(table), luoState: { kind: 'none' }, fuse: undefined }
}

function takeOverFrom({ pool, source }: KeeperOptions, holder: PreviousHolder): PoolHandles {
  if (!isAlive(holder.process)) {
    throw new UsageError(
      `pool '${pool}': the process that held it has ended, and its memory with it: mount again for a new pool`,
    )
  }
  // Stopped, because a server would go on serving, and a keeper may be retrieving incoming objects.
  suspendHolder(holder)
  try {
    const role = holder.role === 'server' ? 'server' : 'keeper'
    const handles = takeOver(pool, holder.process.pid, role, isInRegion(source))
    if (!isInRegion(source) && handles.areas.memfd === undefined)
      throw new UsageError(
        `pool '${pool}': process ${holder.process.pid} holds what the former kernel handed over for it, and that cannot be used (see ${logPath(pool)}): to discard it, 'guestmemfs umount --discard ${pool}'`,
      )
    return handles
  } catch (error) {
    resumeHolder(holder)
    throw error
  }
}
