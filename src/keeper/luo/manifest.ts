/**
 * The manifest: what one kernel's keeper writes for the next kernel's keeper about a pool that it hands over.
 * It is in the pool's index session, in a memfd of its own beside the image.
 */
import * as v from 'valibot'
import { must } from '../../linux/library.ts'
import { memfdCreate, memfdSize, readAt, resize, writeAllAt } from '../../linux/memory.ts'
import { CorruptBytesError } from '../../values/errors.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { MIB } from '../../values/units.ts'

/** An object's token is its id. */
export const tokenOf = (object: ObjectId): bigint => BigInt(object)
/** Tokens in the index session. No object has such an id. */
export const IMAGE_TOKEN = 1n << 63n
export const MANIFEST_TOKEN = IMAGE_TOKEN + 1n

/** More than a table of descriptors can name. */
const MAX_BYTES = 64 * MIB

export const MANIFEST_FORMAT = 1

const ManifestSchema = v.object({
  format: v.literal(MANIFEST_FORMAT),
  pool: v.string(),
  totalBlocks: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** In the order in which the next keeper is to retrieve them. */
  sessions: v.array(
    v.object({ name: v.string(), memories: v.array(v.pipe(v.number(), v.integer(), v.minValue(1))) }),
  ),
})
export type Manifest = v.InferOutput<typeof ManifestSchema>

/** The caller closes it. Throws SystemCallError. */
export function writeManifest(manifest: Manifest): Fd {
  const bytes = Buffer.from(JSON.stringify(manifest))
  const fd = memfdCreate('guestmemfs:manifest', { sealable: false })
  must(resize(fd, bytes.length), 'ftruncate of the manifest')
  must(writeAllAt(fd, 0, bytes), 'pwrite of the manifest')
  return fd
}

/** Throws CorruptBytesError where it is not a manifest of guestmemfs, or of another format. */
export function readManifest(fd: Fd): Manifest {
  const { sizeBytes } = memfdSize(fd)
  if (sizeBytes > MAX_BYTES) throw new CorruptBytesError(`its manifest has ${sizeBytes} bytes`)
  const bytes = Buffer.alloc(sizeBytes)
  must(readAt(fd, 0, bytes), 'pread of the manifest')
  try {
    return v.parse(ManifestSchema, JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw new CorruptBytesError('its manifest is none that this version can read', { cause })
  }
}
