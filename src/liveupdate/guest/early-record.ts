/**
 * `/run/guestmemfs/pools/POOL.early`: what came of guests that the unit of the early start let go on before
 * the mount of their pool, kept for the resumption, which is another process and writes the report. Nothing
 * about a guest is decided by it: a guest goes on, and is found, with or without. It ends with the kernel.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import type { SavedState } from '../../qemu/saved-state.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { replaceFileWhenFull } from '../../run/atomic-file.ts'
import { parseRecord } from '../../run/parse-record.ts'
import { ensureFolder, POOLS } from '../../run/paths.ts'
import type { EarlyGuests, EarlyResult } from './early-result.ts'

const STEPS = ['wait', 'launch', 'start', 'load', 'continue'] as const

const EarlyRecordSchema = v.object({
  format: v.literal(1),
  /** The start of the unit's process, in milliseconds since the epoch. */
  beganAtMs: v.number(),
  /** Those that went on, by name. */
  guests: v.record(
    v.string(),
    v.object({
      /** Of the state that it went on from: a later save of the guest has another. */
      crc32: v.number(),
      stoppedAtMs: v.number(),
      steps: v.array(v.tuple([v.picklist(STEPS), v.number()])),
      unset: v.array(v.string()),
    }),
  ),
  /** One line for each that needs nothing of the mount and did not go on. */
  left: v.array(v.string()),
})
export type EarlyRecord = v.InferOutput<typeof EarlyRecordSchema>

const earlyRecordPath = (pool: string): string => join(POOLS, `${pool}.early`)

/** Never throws: where /run takes no file, the report has no times of these guests. */
export function writeEarlyRecord(pool: string, record: EarlyRecord): void {
  try {
    ensureFolder(POOLS)
    replaceFileWhenFull(earlyRecordPath(pool), JSON.stringify(record), 0o600)
  } catch {
    // The guests run all the same.
  }
}

/** undefined: there is none that this version reads. */
export function readEarlyRecord(pool: string): EarlyRecord | undefined {
  try {
    return parseEarlyRecord(readFileSync(earlyRecordPath(pool), 'utf8'))
  } catch {
    return undefined
  }
}

/** undefined: it is no record of this version's kind. */
export const parseEarlyRecord = (text: string): EarlyRecord | undefined =>
  parseRecord(EarlyRecordSchema, text)

/** A guest for the record, with the state that it went on from. */
export const recordedGuest = (
  { crc32, stoppedAtMs }: Pick<SavedState, 'crc32' | 'stoppedAtMs'>,
  { steps, unset }: EarlyResult,
): EarlyRecord['guests'][string] => ({
  crc32,
  stoppedAtMs,
  steps: steps.map(([step, atMs]) => [step, atMs]),
  unset: [...unset],
})

/** Of `vms` those that went on from the state which is still on their record. */
export function goneOnBefore({ guests }: EarlyRecord, vms: readonly Pick<Vm, 'definition'>[]): EarlyGuests {
  return new Map(
    vms.flatMap(({ definition: { name, saved } }) => {
      const guest = Object.hasOwn(guests, name) ? guests[name] : undefined
      const isThat = guest?.crc32 === saved?.crc32 && guest?.stoppedAtMs === saved?.stoppedAtMs
      return guest === undefined || saved === null || !isThat ? [] : [[name, Promise.resolve(guest)] as const]
    }),
  )
}
