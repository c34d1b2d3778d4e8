/**
 * What is left of a pool of which this process finds no process and can read no record: the record's file, or
 * a mount that no process serves. It shows that there was a pool, whose memory may have been lost. Must not:
 * access a mount, which may not answer.
 */
import { isPoolMount, mountTable } from '../linux/mounts.ts'
import { listPoolRecords, type PoolRecord } from '../run/pool-record.ts'

export interface Remains {
  readonly pool: string
  /** Where this process sees it mounted. */
  readonly mountPoint: string | null
  /** undefined: nothing shows where its memory was. */
  readonly source: undefined
  readonly pidNamespace?: undefined
}

/** A pool without a process that is known to hold it. */
export type Lost = PoolRecord | Remains

/** undefined: there is no trace of a pool of this name. */
export function remainsOf(pool: string): Remains | undefined {
  const mount = mountTable().findLast(
    (each) => isPoolMount(each) && each.source === pool && each.root === '/',
  )
  const { unreadable } = listPoolRecords()
  if (mount === undefined && !unreadable.includes(pool)) return undefined
  return { pool, mountPoint: mount?.target ?? null, source: undefined }
}

/** The mount there, which may be a bind mount of a pool that is mounted elsewhere. */
export function remainsAt(mountPoint: string): Remains | undefined {
  const mount = mountTable().findLast((each) => isPoolMount(each) && each.target === mountPoint)
  return mount && { pool: mount.source, mountPoint: mount.target, source: undefined }
}
