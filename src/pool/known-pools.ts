/**
 * The pools of this machine, and who holds each: by its record where that names a process that is alive, else
 * by the search of all processes. A record alone proves nothing: it may be missing, half written (a full
 * /run), of another version, or name processes that have died while others hold the memory
 * (docs/internals/ownership.md).
 */
import { listPoolRecords, type PoolRecord, readPoolRecord } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import { UsageError } from '../values/errors.ts'
import { isInRegion } from '../values/store-kinds.ts'
import type { Lost } from './remains.ts'
import { type ImageHolder, livingRecord, searchHolders } from './search-holders.ts'

/** Whether a process that the record names is alive. */
export const isHeld = ({ keeper, server }: PoolRecord): boolean =>
  isAlive(keeper) || (server !== null && isAlive(server))

/**
 * Whether the record names a process that is alive: then it need not be checked. A region's record that names
 * none is checked, too, though its memory needs no process: the record may be from before a pool of memfds
 * got the name.
 */
const isConfirmed = (record: PoolRecord | undefined): record is PoolRecord =>
  record !== undefined && isHeld(record)

/** `search` is called where the record is not enough. undefined: there is neither a record nor a holder. */
export function knownRecord(pool: string, search = searchHolders): PoolRecord | undefined {
  const written = writtenRecord(pool)
  return isConfirmed(written) ? written : (livingRecord(pool, search()) ?? written)
}

/** The record as it was written, true or not. undefined: there is none that can be read. */
export function writtenRecord(pool: string): PoolRecord | undefined {
  try {
    return readPoolRecord(pool)
  } catch (error) {
    if (error instanceof UsageError) return undefined
    throw error
  }
}

interface KnownPools {
  readonly records: PoolRecord[]
  /** Pools whose record cannot be read, and of which no process is alive. */
  readonly unreadable: string[]
  /** Every process that holds an image. */
  readonly holders: readonly ImageHolder[]
}

export function knownPools(): KnownPools {
  const { records, unreadable } = listPoolRecords()
  const holders = searchHolders()
  const byPool = new Map(records.map((record) => [record.pool, record]))
  const found = new Set(holders.flatMap(({ pool }) => pool ?? []))
  for (const pool of found) {
    const living = isConfirmed(byPool.get(pool)) ? undefined : livingRecord(pool, holders)
    if (living !== undefined) byPool.set(pool, living)
  }
  const all = [...byPool.values()].sort((one, other) => (one.pool < other.pool ? -1 : 1))
  return { records: all, unreadable: unreadable.filter((pool) => !byPool.has(pool)), holders }
}

/** The pool that the operator names by its name or by its mount point. */
export function findKnownPool(named: string): PoolRecord | undefined {
  const path = named.length > 1 ? named.replace(/\/+$/, '') : named
  return knownPools().records.find((record) => record.pool === named || record.mountPoint === path)
}

/**
 * Processes that hold the memory of `pool` and are neither its keeper nor its server, such as the service
 * manager; and those with an image that cannot be read, unless another pool's record names them, or this one
 * lies in a region. `lost`: what is known of the pool.
 */
export function strayHolders(
  pool: string,
  lost: Lost | undefined,
  holders: readonly ImageHolder[],
): ImageHolder[] {
  const isOfRegion = lost?.source !== undefined && isInRegion(lost.source)
  const named = listPoolRecords().records.filter((record) => record.pool !== pool)
  const isAnothers = ({ process: { pid } }: ImageHolder): boolean =>
    named.some(({ keeper, server }) => keeper.pid === pid || server?.pid === pid)
  return holders.filter((holder) =>
    holder.pool === undefined
      ? !isOfRegion && !isAnothers(holder)
      : holder.pool === pool && holder.role === undefined,
  )
}
