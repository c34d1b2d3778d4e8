/**
 * Reads and writes the bytes of ordinary files of a carve-out through mapped data chunks (data-chunks.ts).
 * Answers a Wait until the chunks are mapped.
 */
import { raiseEventfd } from '../../linux/eventfd.ts'
import { ENXIO } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { type Refusal, WAIT_FOR_STORE } from '../../values/refusal.ts'
import { SEEK_DATA } from '../../values/uapi.ts'
import { MIB } from '../../values/units.ts'
import type { FileData } from '../store.ts'
import type { DataChunks } from './data-chunks.ts'
import type { PlacedObjects } from './placed-objects.ts'

/** Zeroed in one call; between two calls for a larger hole the server handles other requests. */
const PUNCH_BYTES = 64 * MIB

/** A hole of which everything before `nextOffset` is zero already. */
interface Punching {
  readonly offset: number
  readonly length: number
  readonly nextOffset: number
}

export class CarveOutData implements FileData {
  readonly #objects: PlacedObjects
  readonly #chunks: DataChunks
  readonly #wake: Fd
  /** Large holes under way: one a file, because the kernel sends one such request a file at a time. */
  readonly #punching = new Map<ObjectId, Punching>()

  /** `wake`: raised to have a hole continued, since no job of the worker ends for it. */
  constructor(objects: PlacedObjects, chunks: DataChunks, wake: Fd) {
    this.#objects = objects
    this.#chunks = chunks
    this.#wake = wake
  }

  read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal {
    const { extents, sizeBytes } = this.#objects.get(object)
    const bytes = into.subarray(0, Math.max(0, Math.min(into.byteLength, sizeBytes - offset)))
    const waits = this.#chunks.prepare(this.#chunks.of(extents, offset, bytes.byteLength))
    if (waits) return waits
    return this.#chunks.read(extents, offset, bytes)
  }

  write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal {
    const { extents, sizeBytes } = this.#objects.get(object)
    // Where a caller interrupted a hole half-way, its beginning may hold bytes again.
    this.#punching.delete(object)
    const bytes = from.subarray(0, Math.max(0, Math.min(from.byteLength, sizeBytes - offset)))
    const waits = this.#chunks.prepare(this.#chunks.of(extents, offset, bytes.byteLength))
    if (waits) return waits
    return this.#chunks.write(extents, offset, bytes)
  }

  /** Punches a large hole in portions, one at each call. */
  punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined {
    const { extents, sizeBytes } = this.#objects.get(object)
    const end = Math.min(offset + length, sizeBytes)
    const before = this.#punching.get(object)
    const start = before?.offset === offset && before.length === length ? before.nextOffset : offset
    const bytes = Math.max(0, Math.min(PUNCH_BYTES, end - start))
    const waits = this.#chunks.prepare(this.#chunks.of(extents, start, bytes))
    if (waits) return waits
    const failed = this.#chunks.zero(extents, start, bytes)
    const nextOffset = start + bytes
    this.#punching.delete(object)
    if (failed !== undefined) return failed
    if (nextOffset === end || bytes === 0) return undefined
    this.#punching.set(object, { offset, length, nextOffset })
    raiseEventfd(this.#wake)
    return WAIT_FOR_STORE
  }

  /** All of a file is data, which lseek(2) allows. Errors: ENXIO past the end. */
  seek(object: ObjectId, offset: number, whence: number): number | Refusal {
    const { sizeBytes } = this.#objects.get(object)
    if (offset < 0 || offset >= sizeBytes) return ENXIO
    return whence === SEEK_DATA ? offset : sizeBytes
  }

  /** Its file got another size, or is gone: drops a hole under way. */
  dropHole(object: ObjectId): void {
    this.#punching.delete(object)
  }
}
