/**
 * Owns `/run/guestmemfs/pools/POOL.json`: where a pool's keeper is found. It is a signpost, not state: the pool's
 * memory is what the keeper holds, and a record whose process is gone is litter that the next mount removes.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { processStartTime } from '../linux/process.ts'
import { UsageError } from '../values/errors.ts'

export const RUN_DIRECTORY = '/run/guestmemfs/pools'

const ProcessSchema = v.object({ pid: v.number(), startTime: v.string() })
export type ProcessIdentity = v.InferOutput<typeof ProcessSchema>

const PoolRecordSchema = v.object({
  pool: v.string(),
  source: v.variant('kind', [
    v.object({ kind: v.literal('memfd'), totalBlocks: v.number(), isNew: v.boolean() }),
    v.object({
      kind: v.picklist(['dax', 'devmem']),
      region: v.nullable(v.string()),
      alignBytes: v.optional(v.nullable(v.number())),
    }),
  ]),
  sizeBytes: v.number(),
  state: v.picklist(['mounted', 'parked']),
  mountPoint: v.nullable(v.string()),
  keeper: ProcessSchema,
  /** For the day its keeper dies before it: the server then holds the only copies. */
  server: v.nullable(ProcessSchema),
})
export type PoolRecord = v.InferOutput<typeof PoolRecordSchema>

const NAME = /^[A-Za-z0-9_.-]{1,64}$/

/** A pool is named by the mount's source; the name becomes a file name and a unit instance. */
export const checkPoolName = (name: string): string => {
  if (!NAME.test(name) || name.startsWith('.')) {
    throw new UsageError(
      `pool name '${name}' is not usable: take 1 to 64 of the characters A-Z a-z 0-9 _ . - (it is the mount's source)`,
    )
  }
  return name
}

const recordPath = (pool: string) => join(RUN_DIRECTORY, `${pool}.json`)
export const lockPath = (pool: string) => join(RUN_DIRECTORY, `${pool}.lock`)
export const logPath = (pool: string) => join(RUN_DIRECTORY, `${pool}.log`)

export const makeRunDirectory = (): void => {
  mkdirSync(RUN_DIRECTORY, { recursive: true, mode: 0o755 })
}

/** Replaced by rename, so that a reader never sees half a record. */
export const writePoolRecord = (record: PoolRecord): void => {
  const path = recordPath(record.pool)
  // Whoever may see the mount may see where it comes from: `list` is for everyone.
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 })
  renameSync(`${path}.new`, path)
}

export const removePoolRecord = (pool: string): void => rmSync(recordPath(pool), { force: true })

/** undefined: there is none. Errors: UsageError for a file that is no record of this version's kind. */
export const readPoolRecord = (pool: string): PoolRecord | undefined => {
  let text: string
  try {
    text = readFileSync(recordPath(pool), 'utf8')
  } catch {
    return undefined
  }
  const record = parseRecord(text)
  if (record !== undefined) return record
  throw new UsageError(
    `${recordPath(pool)} is not a record this version can read: remove it if no keeper runs for pool '${pool}'`,
  )
}

const parseRecord = (text: string): PoolRecord | undefined => {
  try {
    const parsed = v.safeParse(PoolRecordSchema, JSON.parse(text))
    return parsed.success ? parsed.output : undefined
  } catch {
    return undefined
  }
}

const recordedPools = (): string[] => {
  try {
    const names = readdirSync(RUN_DIRECTORY).filter((name) => name.endsWith('.json'))
    return names.map((name) => name.slice(0, -'.json'.length)).sort()
  } catch {
    return []
  }
}

/** One bad record must not hide the other pools: those that cannot be read are named apart. */
export const listPoolRecords = (): { records: PoolRecord[]; unreadable: string[] } => {
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

/** The pool that a person names by itself or by its mount point. */
export const findPoolRecord = (named: string): PoolRecord | undefined => {
  const path = named.length > 1 ? named.replace(/\/+$/, '') : named
  return listPoolRecords().records.find((record) => record.pool === named || record.mountPoint === path)
}

/** A pid alone is not a process: pids come round again, their start time does not. */
export const isAlive = (identity: ProcessIdentity): boolean =>
  processStartTime(identity.pid) === identity.startTime

/** undefined: it has ended. */
export const identify = (pid: number): ProcessIdentity | undefined => {
  const startTime = processStartTime(pid)
  return startTime === undefined ? undefined : { pid, startTime }
}
