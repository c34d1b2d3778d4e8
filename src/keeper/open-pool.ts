/**
 * Owns how a keeper comes by its pool: from the process that holds it, from the former kernel, or by making a new one. Whatever it takes,
 * nobody else may lose by it: see `inheritance.ts` and `find-arrival.ts`.
 */
import type { MemorySource } from '../server/messages.ts'
import { UsageError } from '../values/errors.ts'
import { makeImage, makeRuntime, makeTable } from './areas.ts'
import { Custody } from './memfd-table.ts'
import { type Found, findArrival } from './luo/find-incoming.ts'
import { type Estate, inherit } from './takeover/copy-fds.ts'
import type { KeeperOptions } from './keeper-options.ts'
import { LuoThread } from './luo/thread.ts'
import { isAlive, logPath } from './pool-record.ts'
import { letGoOn, suspend } from './takeover/holder-process.ts'

export interface Beginning {
  readonly estate: Estate
  readonly source: MemorySource
}

/**
 * The former kernel handed something over for this pool that cannot be used, and this process holds it now: it must not end before
 * somebody gives it up.
 */
export class StrandedError extends UsageError {}

/** Errors: UsageError, with nothing changed; StrandedError. */
export async function begin(options: KeeperOptions): Promise<Beginning> {
  const { pool, source, predecessor, isNew } = options
  if (predecessor !== null) return { estate: inheritFrom(options), source }
  if (source.kind !== 'memfd' || isNew) return { estate: newEstate(source), source }
  const found = await findArrival(pool, new LuoThread())
  if (found === undefined) return { estate: newEstate(source), source }
  if ('why' in found)
    throw new StrandedError(
      `pool '${pool}' was handed over by the former kernel, and ${found.why}: its memory is kept by process ${process.pid}; to give it up, 'guestmemfs umount --discard ${pool}'`,
    )
  // Whatever size is asked for: the pool is there, guests wait for it, and it is as large as it is.
  const wholeSource = { ...source, totalBlocks: found.totalBlocks, isNew: false }
  return strandedUnless(pool, () => ({ estate: arrivedEstate(found), source: wholeSource }))
}

/** For what is done once this process alone holds what the former kernel handed over. */
export function strandedUnless<T>(pool: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new StrandedError(
      `pool '${pool}' was handed over by the former kernel, and ${why}: its memory is kept by process ${process.pid}`,
      { cause },
    )
  }
}

function arrivedEstate({ sessions, awaited, lost, packed }: Found): Estate {
  const { fd, table } = makeTable()
  for (const { memory } of awaited) table.setPassage(memory, 'awaited')
  for (const memory of lost) table.setPassage(memory, 'lost')
  return {
    areas: { runtime: makeRuntime(), memfd: [fd, makeImage()], packed },
    table,
    custody: new Custody(table),
    travel: { kind: 'arriving', sessions, awaited },
    fuse: undefined,
  }
}

function newEstate(source: MemorySource): Estate {
  const { fd, table } = makeTable()
  const memfd = source.kind === 'memfd' ? ([fd, makeImage()] as const) : undefined
  const areas = { runtime: makeRuntime(), memfd }
  return { areas, table, custody: new Custody(table), travel: { kind: 'none' }, fuse: undefined }
}

function inheritFrom({ pool, source, predecessor }: KeeperOptions): Estate {
  if (predecessor === null || !isAlive(predecessor.process)) {
    throw new UsageError(
      `pool '${pool}': the process that held it has ended, and its memory with it: mount again for a new pool`,
    )
  }
  // A server serves on, and a keeper may be retrieving what the former kernel handed over.
  suspend(predecessor)
  try {
    const estate = inherit(pool, predecessor.process.pid, predecessor.role === 'server' ? 'server' : 'keeper')
    if (source.kind === 'memfd' && estate.areas.memfd === undefined)
      throw new UsageError(
        `pool '${pool}': process ${predecessor.process.pid} keeps what the former kernel handed over for it, and that cannot be used (see ${logPath(pool)}): to give it up, 'guestmemfs umount --discard ${pool}'`,
      )
    return estate
  } catch (error) {
    letGoOn(predecessor)
    throw error
  }
}
