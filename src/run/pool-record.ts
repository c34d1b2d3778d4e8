/**
 * `/run/guestmemfs/pools/POOL.json`: the process that keeps a pool. The pool's memory is held by processes,
 * not by this file: a record whose processes are gone proves nothing (docs/internals/ownership.md).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { ownPidNamespace } from '../linux/pid-namespace.ts'
import { UsageError } from '../values/errors.ts'
import { REGION_KINDS } from '../values/store-kinds.ts'
import { isInPlace, removeFile, replaceFileWhenFull } from './atomic-file.ts'
import { parseRecord } from './parse-record.ts'
import { POOLS } from './paths.ts'
import { ProcessSchema } from './process-identity.ts'

const PoolRecordSchema = v.object({
  pool: v.string(),
  source: v.variant('kind', [
    v.object({ kind: v.literal('memfd'), totalBlocks: v.number(), isNew: v.boolean() }),
    v.object({
      kind: v.picklist(REGION_KINDS),
      region: v.nullable(v.string()),
      alignBytes: v.optional(v.nullable(v.number())),
    }),
  ]),
  sizeBytes: v.number(),
  state: v.picklist(['mounted', 'parked']),
  mountPoint: v.nullable(v.string()),
  /**
   * The FUSE connection, as /sys/fs/fuse/connections names it: after `umount -l` no mount table has it. An
   * older keeper does not record it.
   */
  connection: v.optional(v.number()),
  keeper: ProcessSchema,
  /**
   * A package manager has replaced the keeper's files, and its server has ended: the next `mount` takes the
   * pool over from it, as it does from one that is parked. An older keeper starts a server all the same. The
   * key keeps the name that older records have.
   */
  isGivenOver: v.optional(v.boolean()),
  /**
   * That of the keeper and of each server: the pids count in it alone. An older keeper does not record it.
   */
  pidNamespace: v.optional(v.string()),
  /** Recorded because the server holds the only copies once the keeper has ended. */
  server: v.nullable(ProcessSchema),
})
export type PoolRecord = v.InferOutput<typeof PoolRecordSchema>

const recordPath = (pool: string) => join(POOLS, `${pool}.json`)
export const lockPath = (pool: string) => join(POOLS, `${pool}.lock`)
export const logPath = (pool: string) => join(POOLS, `${pool}.log`)

/**
 * Readable for everyone: a user who sees the mount may see its pool with `list`. A keeper must record its
 * state (above all that the next `mount` is to take its mount over) on a full /run as well; readers treat
 * half a record as none.
 */
export function writePoolRecord(record: PoolRecord): void {
  const whole: PoolRecord = { ...record, pidNamespace: ownPidNamespace() }
  replaceFileWhenFull(recordPath(record.pool), `${JSON.stringify(whole, null, 2)}\n`, 0o644)
}

/** False: there is none, or it is in /dev while /run is full. */
export const hasRecordInRun = (pool: string): boolean => isInPlace(recordPath(pool))

export const removePoolRecord = (pool: string): void => removeFile(recordPath(pool))

/** undefined: there is none. Errors: UsageError for a file that is no record of this version's kind. */
export function readPoolRecord(pool: string): PoolRecord | undefined {
  let text: string
  try {
    text = readFileSync(recordPath(pool), 'utf8')
  } catch {
    return undefined
  }
  const record = parsePoolRecord(text)
  if (record !== undefined) return record
  throw new UsageError(
    `${recordPath(pool)} is not a record this version can read: remove it if no keeper runs for pool '${pool}'`,
  )
}

/** undefined: it is no record of this version's kind. */
export const parsePoolRecord = (text: string): PoolRecord | undefined => parseRecord(PoolRecordSchema, text)

function recordedPools(): string[] {
  try {
    const names = readdirSync(POOLS).filter((name) => name.endsWith('.json'))
    return names.map((name) => name.slice(0, -'.json'.length)).sort()
  } catch {
    return []
  }
}

/** One bad record must not hide the other pools: `unreadable` has the pools of those that cannot be read. */
export function listPoolRecords(): { records: PoolRecord[]; unreadable: string[] } {
  const records: PoolRecord[] = []
  const unreadable: string[] = []
  for (const pool of recordedPools()) {
    try {
      const record = readPoolRecord(pool)
      if (record !== undefined) records.push(record)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      unreadable.push(pool)
    }
  }
  return { records, unreadable }
}
