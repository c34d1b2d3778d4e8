/**
 * The messages between `mount` and the unit's process, in files beside the pool's record, as text. Must not:
 * touch the files.
 */
import * as v from 'valibot'
import { parseRecord } from '../run/parse-record.ts'
import { HOW, type MountRequest } from './mount-pool.ts'

const Request = v.object({ pool: v.string(), mountPoint: v.string(), options: v.array(v.string()) })
const MountAnswer = v.variant('ok', [
  v.object({
    ok: v.literal(true),
    mounted: v.object({
      pool: v.string(),
      mountPoint: v.string(),
      sizeBytes: v.number(),
      how: v.picklist(HOW),
    }),
  }),
  v.object({ ok: v.literal(false), reason: v.string() }),
])
export type MountAnswer = v.InferOutput<typeof MountAnswer>

/** undefined: it is no request that this version reads. */
export const parseMountRequest = (text: string): MountRequest | undefined => parseRecord(Request, text)

/** undefined: it is no answer that this version reads. */
export const readAnswer = (text: string): MountAnswer | undefined => parseRecord(MountAnswer, text)
