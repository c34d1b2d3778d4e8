/**
 * The record of a kernel update that has begun, which the old kernel leaves to the next one: both kernels,
 * and the times so far. It is an xattr of the pool's root that only root can set, so it survives the jump
 * with the memory.
 */
import * as v from 'valibot'
import { getxattr, removexattr, setxattr } from '../../linux/xattr.ts'
import { E2BIG, ENODATA, Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import { UPDATE_XATTR } from '../../values/xattr-names.ts'

const UpdateRecordSchema = v.object({
  format: v.literal(1),
  id: v.string(),
  via: v.picklist(['kexec', 'systemctl']),
  /** The kernel that wrote this, and the one it was about to start. */
  before: v.string(),
  next: v.string(),
  /** Of the kernel that wrote this: where it is still the same, there was no jump. */
  bootId: v.string(),
  /** Milliseconds since the epoch, by the old kernel's clock. */
  startedAtMs: v.number(),
  jumpAtMs: v.number(),
  /**
   * All guests are saved and pools frozen: from here on the keeper preserves files. Left out where no pool
   * needs it, and by older versions.
   */
  frozenAtMs: v.optional(v.number()),
  /** How far that clock was ahead of the RTC; null where it could not be measured. */
  rtc: v.nullable(v.object({ offsetMs: v.number(), uncertaintyMs: v.number() })),
  /** When each guest of the pool was saved. Empty where the xattr has no room for all. */
  savedAtMs: v.record(v.string(), v.number()),
  /**
   * Guests of the host that the operator left: they end with the kernel that wrote this. Left out where there
   * are none, or the xattr has no room for them, and by older versions.
   */
  left: v.optional(v.array(v.string())),
})
export type UpdateRecord = v.InferOutput<typeof UpdateRecordSchema>

/** Works in a frozen pool as well. Errors: UsageError. */
export function writeUpdateRecord(mountPoint: string, record: UpdateRecord): void {
  const write = (value: UpdateRecord): Errno | undefined =>
    setxattr(mountPoint, UPDATE_XATTR, Buffer.from(JSON.stringify(value)))
  let failed = write(record)
  // Without what there is for each guest, which may be a thousand.
  if (failed === E2BIG) failed = write({ ...record, savedAtMs: {}, left: undefined })
  if (failed !== undefined) throw new UsageError(`recording the update in ${mountPoint} failed: ${failed}`)
}

/** Undefined: the pool was not part of an update, or another version wrote its record. */
export function readUpdateRecord(mountPoint: string): UpdateRecord | undefined {
  const value = getxattr(mountPoint, UPDATE_XATTR)
  return value instanceof Errno ? undefined : parseUpdateRecord(value)
}

/** `value`: of the xattr. undefined: another version wrote it. */
export function parseUpdateRecord(value: Uint8Array): UpdateRecord | undefined {
  try {
    return v.parse(UpdateRecordSchema, JSON.parse(Buffer.from(value).toString('utf8')))
  } catch {
    return undefined
  }
}

/** A missing record is no error. The pool must be thawed. */
export function removeUpdateRecord(mountPoint: string): Errno | undefined {
  const failed = removexattr(mountPoint, UPDATE_XATTR)
  return failed === ENODATA ? undefined : failed
}
