/**
 * A reading of QEMU's machine: what it has besides the guest's state. The watcher of all guests takes one
 * right after the start, an update another: what differs was changed while the machine ran, and the recorded
 * command line does not have it.
 */
import * as v from 'valibot'
import { SettingsSchema } from './settings.ts'

/** Guest memory by its memory backend, the machine's own among them (`query-memdev`). */
const RamBlockSchema = v.object({
  id: v.string(),
  /** QEMU's type: memory-backend-file, memory-backend-ram, … */
  type: v.string(),
  sizeBytes: v.number(),
  isShared: v.boolean(),
  /** `mem-path` of a file as in QEMU's line; null: other memory. */
  path: v.nullable(v.string()),
  /** QEMU discards the file's memory when it ends (`discard-data`). Left out by former versions. */
  isDiscarded: v.optional(v.boolean()),
})
export type RamBlock = v.InferOutput<typeof RamBlockSchema>

/**
 * What a reading is made of. Items of one family are lines of text: `SUBJECT: WHAT`, or `SUBJECT` alone. Both
 * readings are the same QEMU process' output, so this program need not interpret their spelling.
 */
export const FAMILIES = [
  'objects',
  'devices',
  'processors',
  'memory',
  'disks',
  'media',
  'bitmaps',
  'jobs',
  'networks',
  'consoles',
  'exports',
  'boot order',
  'properties',
  'addresses',
  'caches',
  'run time',
] as const
export type Family = (typeof FAMILIES)[number]

export const ReadingSchema = v.object({
  ram: v.array(RamBlockSchema),
  settings: SettingsSchema,
  items: v.record(v.picklist(FAMILIES), v.array(v.string())),
})
export type Reading = v.InferOutput<typeof ReadingSchema>
