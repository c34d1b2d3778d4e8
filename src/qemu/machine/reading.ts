/**
 * The machine that a QEMU is: what it has besides the guest's state. A reading is taken right after the
 * start, and again before an update: what differs was done to the machine while it ran, and the command line
 * that is on record does not say it.
 */
import * as v from 'valibot'
import { SettingsSchema } from './settings.ts'

/** Guest memory that QEMU was given an object for, the machine's own among them (`query-memdev`). */
const RamBlockSchema = v.object({
  id: v.string(),
  /** QEMU's type: memory-backend-file, memory-backend-ram, … */
  type: v.string(),
  sizeBytes: v.number(),
  isShared: v.boolean(),
  /** Of a file, as QEMU was told; null: anonymous memory. */
  path: v.nullable(v.string()),
})
export type RamBlock = v.InferOutput<typeof RamBlockSchema>

/**
 * What a reading is made of. Items of one family are lines of text: `SUBJECT: WHAT`, or `SUBJECT` alone.
 * QEMU's words are compared with words of the same process, so their spelling need not be known.
 */
export const FAMILIES = [
  'objects',
  'devices',
  'processors',
  'disks',
  'media',
  'bitmaps',
  'jobs',
  'networks',
  'consoles',
] as const
export type Family = (typeof FAMILIES)[number]

/** QEMU counts the block nodes that nobody named: the same medium, put back, has another number. */
export const isCounted = (name: string): boolean => name.startsWith('#')

export const ReadingSchema = v.object({
  ram: v.array(RamBlockSchema),
  settings: SettingsSchema,
  items: v.record(v.picklist(FAMILIES), v.array(v.string())),
})
export type Reading = v.InferOutput<typeof ReadingSchema>
