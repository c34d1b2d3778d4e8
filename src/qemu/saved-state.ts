/**
 * The file with a saved guest's device state: making it, measuring it, and checking later that it is
 * unchanged. Must not: write to it, which QEMU does as the guest's user.
 */
import { closeSync, constants, fchmodSync, fchownSync, fstatSync, read, readSync } from 'node:fs'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import * as v from 'valibot'
import {
  type Base,
  openBeneath,
  type PlaceBeneath,
  pathProblem,
  removePlace,
  withPlace,
} from '../linux/beneath.ts'
import { ENOENT, Errno } from '../values/errno.ts'
import { CorruptBytesError, UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { GIB, MIB } from '../values/units.ts'
import { LATE, within } from '../values/within.ts'

/** What save leaves to restore: a plain value, a part of the VM's definition. */
export const SavedStateSchema = v.object({
  path: v.string(),
  sizeBytes: v.number(),
  crc32: v.number(),
  /** Whether the guest ran when it was saved, and so runs again afterwards. */
  wasRunning: v.boolean(),
  /** When its virtual CPUs stopped, in milliseconds since the epoch. */
  stoppedAtMs: v.number(),
  qemuVersion: v.string(),
  /** In ACPI S3; left out where it was not, and by former versions. */
  isSuspended: v.optional(v.boolean()),
})
export type SavedState = v.InferOutput<typeof SavedStateSchema>

/** More than any device state; a larger file is refused unread. */
export const MAX_STATE_BYTES = 4 * GIB
const CHUNK_BYTES = MIB

/** In a thread of Node's: guests of other QMP connections are served meanwhile. */
const readAt = promisify(read)

/**
 * An empty file that only `uid` can read, in place of whatever had the name. The directory may belong to the
 * guest's user, so the file is made through descriptors beneath the mount. Errors (UsageError): one line why
 * not. `base` is for tests.
 */
export function createStateFile(path: string, owner: { uid: number; gid: number }, base?: Base): void {
  const failed = withPlace(path, (place) => makeAnew(place, owner), base)
  if (failed instanceof Errno)
    throw new UsageError(`state file ${path} could not be made: ${pathProblem(failed)}`)
}

function makeAnew(place: PlaceBeneath, { uid, gid }: { uid: number; gid: number }): Errno | undefined {
  const removed = removePlace(place)
  if (removed !== undefined && removed !== ENOENT) return removed
  const { O_CREAT, O_EXCL, O_WRONLY } = constants
  const fd = openBeneath(place.directory, place.name, O_CREAT | O_EXCL | O_WRONLY, 0o600)
  if (fd instanceof Errno) return fd
  try {
    fchownSync(fd, uid, gid)
    fchmodSync(fd, 0o600)
    return undefined
  } finally {
    closeSync(fd)
  }
}

/**
 * Size and checksum of the file as it is. The guest's user may write to it meanwhile, and other guests may be
 * stopped, so this reads up to the size that it has now, within `timeoutMs`. Throws CorruptBytesError: it
 * cannot be opened, is empty, no ordinary file, too large, not read in time, or changes its size.
 */
export async function measureStateFile(
  path: string,
  timeoutMs: number,
  base?: Base,
): Promise<{ sizeBytes: number; crc32: number }> {
  const fd = openStateFile(path, base)
  if (fd instanceof Errno) throw new CorruptBytesError(`state file ${path}: ${pathProblem(fd)}`)
  const until = performance.now() + timeoutMs
  const measured = measure(fd, path, until).finally(() => closeSync(fd))
  // A read that the pool's server does not answer goes on, with the descriptor.
  const first = await within(measured, timeoutMs)
  if (first === LATE) throw notInTime(path)
  return first
}

/** Never waits for the other end of what is no file. Errors: those of the way to it. */
function openStateFile(path: string, base?: Base): Fd | Errno {
  const { O_RDONLY, O_NONBLOCK } = constants
  const open = ({ directory, name }: PlaceBeneath) => openBeneath(directory, name, O_RDONLY | O_NONBLOCK)
  return withPlace(path, open, base)
}

async function measure(fd: Fd, path: string, until: number): Promise<{ sizeBytes: number; crc32: number }> {
  const stat = fstatSync(fd)
  if (!stat.isFile()) throw new CorruptBytesError(`state file ${path} is not an ordinary file`)
  if (stat.size === 0) throw new CorruptBytesError(`state file ${path} is empty`)
  if (stat.size > MAX_STATE_BYTES) throw new CorruptBytesError(`state file ${path} has ${stat.size} bytes`)
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, stat.size))
  let [sum, at] = [0, 0]
  while (at < stat.size) {
    if (performance.now() > until) throw notInTime(path)
    const { bytesRead } = await readAt(fd, chunk, 0, Math.min(chunk.length, stat.size - at), at)
    if (bytesRead === 0) break
    sum = crc32(chunk.subarray(0, bytesRead), sum)
    at += bytesRead
  }
  if (at !== stat.size || fstatSync(fd).size !== at)
    throw new CorruptBytesError(`state file ${path} changes while it is read`)
  return { sizeBytes: at, crc32: sum }
}

const notInTime = (path: string) => new CorruptBytesError(`state file ${path} could not be read in time`)

/** Throws CorruptBytesError when the file is not, byte for byte, what was saved. */
export async function checkStateFile(saved: SavedState, timeoutMs: number, base?: Base): Promise<void> {
  const found = await measureStateFile(saved.path, timeoutMs, base)
  if (found.sizeBytes !== saved.sizeBytes) {
    throw new CorruptBytesError(
      `state file ${saved.path} has ${found.sizeBytes} bytes, ${saved.sizeBytes} were saved`,
    )
  }
  if (found.crc32 !== saved.crc32)
    throw new CorruptBytesError(`state file ${saved.path} is not what was saved (checksum)`)
}

/**
 * The first bytes of a state from which a guest went on before its record could say so: no QEMU must load it
 * again, over newer memory. A part of them is enough, since the checksum on record does not hold then.
 */
export const CONSUMED = Buffer.from('CONSUMED')

/** Whether the file begins so. False: it does not, or cannot be read. */
export function isConsumed(path: string, base?: Base): boolean {
  const fd = openStateFile(path, base)
  if (fd instanceof Errno) return false
  try {
    const first = Buffer.alloc(CONSUMED.length)
    return fstatSync(fd).isFile() && readSync(fd, first, 0, first.length, 0) > 0 && first.equals(CONSUMED)
  } finally {
    closeSync(fd)
  }
}

/**
 * Never throws, as the callers continue guests after it: a file that stays is on no record, so no QEMU loads
 * it, and the next save replaces it.
 */
export function removeStateFile(path: string, base?: Base): Errno | undefined {
  const failed = withPlace(path, removePlace, base)
  return failed === ENOENT ? undefined : failed
}
