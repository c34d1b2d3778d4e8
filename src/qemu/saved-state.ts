/**
 * Owns the file a saved guest's device state lies in: making it, describing it, and finding out later whether
 * it still is what was described. Never opens it for writing itself: QEMU does, as the guest's user.
 */
import { closeSync, constants, fchmodSync, fchownSync, fstatSync, openSync, readSync, rmSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import * as v from 'valibot'
import { CorruptBytesError } from '../values/errors.ts'
import { GIB, MIB } from '../values/units.ts'

/**
 * What save hands to restore: a plain value. It is part of the VM's definition and lives as long as the
 * memory.
 */
export const SavedStateSchema = v.object({
  path: v.string(),
  sizeBytes: v.number(),
  crc32: v.number(),
  /** Whether the guest ran when it was saved, and so runs again afterwards. */
  wasRunning: v.boolean(),
  /** When its virtual CPUs stopped, in milliseconds since the epoch. */
  stoppedAtMs: v.number(),
  qemuVersion: v.string(),
})
export type SavedState = v.InferOutput<typeof SavedStateSchema>

/** More than any device state; a file beyond it is not read into memory. */
const MAX_STATE_BYTES = 4 * GIB
const CHUNK_BYTES = MIB

/** An empty file that only `uid` can read, in place of whatever had the name. Throws what node:fs throws. */
export function createStateFile(path: string, owner: { uid: number; gid: number }): void {
  rmSync(path, { force: true })
  // O_EXCL and O_NOFOLLOW: the directory may be the guest user's, who must not choose what we open.
  const fd = openSync(
    path,
    constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY,
    0o600,
  )
  try {
    fchownSync(fd, owner.uid, owner.gid)
    fchmodSync(fd, 0o600)
  } finally {
    closeSync(fd)
  }
}

/**
 * Size and checksum of the file as it is. Throws CorruptBytesError: empty, no ordinary file, absurdly large.
 */
export function measureStateFile(path: string): { sizeBytes: number; crc32: number } {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new CorruptBytesError(`state file ${path} is not an ordinary file`)
    if (stat.size === 0) throw new CorruptBytesError(`state file ${path} is empty`)
    if (stat.size > MAX_STATE_BYTES) throw new CorruptBytesError(`state file ${path} has ${stat.size} bytes`)
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, stat.size))
    let [sum, at] = [0, 0]
    for (;;) {
      const length = readSync(fd, chunk, 0, chunk.length, at)
      if (length === 0) return { sizeBytes: at, crc32: sum }
      sum = crc32(chunk.subarray(0, length), sum)
      at += length
    }
  } finally {
    closeSync(fd)
  }
}

/** Throws CorruptBytesError when the file is not, byte for byte, what was saved. */
export function checkStateFile(saved: SavedState): void {
  const found = measureStateFile(saved.path)
  if (found.sizeBytes !== saved.sizeBytes) {
    throw new CorruptBytesError(
      `state file ${saved.path} has ${found.sizeBytes} bytes, ${saved.sizeBytes} were saved`,
    )
  }
  if (found.crc32 !== saved.crc32)
    throw new CorruptBytesError(`state file ${saved.path} is not what was saved (checksum)`)
}

export function removeStateFile(path: string): void {
  rmSync(path, { force: true })
}
