/**
 * The data chunks of ordinary files: which are mapped and where, how many blocks of each a file owns, and
 * moving bytes between them and a file's offsets. Chunks are accessed by address alone, so that an empty one
 * can be unmapped.
 */
import { type RawMapping, readRaw, writeRaw, zeroRaw } from '../../linux/raw-memory.ts'
import { EBUSY, EIO, type Errno, errnoFromCode } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { type Refusal, WAIT_FOR_STORE } from '../../values/refusal.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS, type Extent } from '../store.ts'
import { chunkExtent, chunkOf, chunksOf, type RegionLayout, rangesOf } from './layout.ts'
import type { WorkerPort } from './worker-client.ts'

/** Bytes of a file that lie in one chunk, one after the other. */
export interface Piece {
  readonly chunk: number
  /** In the chunk. */
  readonly offset: number
  readonly lengthBytes: number
}

export class DataChunks {
  readonly #layout: RegionLayout
  readonly #worker: WorkerPort
  readonly #mapped = new Map<number, RawMapping>()
  readonly #requested = new Set<number>()
  readonly #failed = new Map<number, Errno>()
  readonly #ownedBlocks = new Map<number, number>()
  #suspected: number[] = []

  constructor(layout: RegionLayout, worker: WorkerPort) {
    this.#layout = layout
    this.#worker = worker
  }

  /** Files own these blocks from now on (`sign` 1), or do not any more (-1). */
  count(extents: readonly Extent[], sign: 1 | -1): void {
    for (const { start, count } of extents)
      for (const chunk of chunksOf([{ start, count }])) {
        const first = chunk * CHUNK_BLOCKS
        const blocks = Math.min(start + count, first + CHUNK_BLOCKS) - Math.max(start, first)
        this.#ownedBlocks.set(chunk, (this.#ownedBlocks.get(chunk) ?? 0) + sign * blocks)
      }
  }

  #owns(chunk: number): boolean {
    return (this.#ownedBlocks.get(chunk) ?? 0) > 0
  }

  /** Makes sure that these chunks are mapped. Refusals: a Wait; the Errno of making one, returned once. */
  prepare(chunks: readonly number[]): Refusal | undefined {
    const missing = chunks.filter((chunk) => !this.#mapped.has(chunk))
    for (const chunk of missing) {
      const failed = this.#failed.get(chunk)
      this.#failed.delete(chunk)
      if (failed) return failed
    }
    for (const chunk of missing) this.#request(chunk)
    return missing.length === 0 ? undefined : WAIT_FOR_STORE
  }

  /**
   * Gives up the mapped chunks of these blocks, which guest RAM is to get: the worker unmaps them before its
   * next job there. Refusals: EBUSY (a file owns a block there), a Wait.
   */
  surrender(extents: readonly Extent[]): Refusal | undefined {
    const chunks = chunksOf(extents)
    if (chunks.some((chunk) => this.#owns(chunk) && (this.#mapped.has(chunk) || this.#requested.has(chunk))))
      return EBUSY
    if (chunks.some((chunk) => this.#requested.has(chunk))) return WAIT_FOR_STORE
    for (const chunk of chunks) {
      // From here on this thread does not use the address; the worker unmaps it.
      if (this.#mapped.delete(chunk))
        this.#worker.send('drop', rangesOf(this.#layout, [chunkExtent(this.#layout, chunk)]), () => {})
    }
    return undefined
  }

  /** Returns the bytes moved. Errors: why none were, EIO (a poisoned page). */
  read(extents: readonly Extent[], offset: number, into: Uint8Array): number | Errno {
    return this.#move(extents, offset, into, readRaw)
  }

  /** Returns the bytes moved. Errors: why none were, EIO (a poisoned page). */
  write(extents: readonly Extent[], offset: number, from: Uint8Array): number | Errno {
    return this.#move(extents, offset, from, writeRaw)
  }

  #move(
    extents: readonly Extent[],
    offset: number,
    bytes: Uint8Array,
    move: typeof readRaw | typeof writeRaw,
  ): number | Errno {
    let done = 0
    for (const piece of pieces(extents, offset, bytes.byteLength)) {
      const part = bytes.subarray(done, done + piece.lengthBytes)
      const failed = move(this.#mapping(piece.chunk), piece.offset, part)
      if (failed !== undefined) {
        if (failed === EIO) this.#suspect(piece)
        return done > 0 ? done : failed
      }
      done += piece.lengthBytes
    }
    return done
  }

  /** The chunks that hold these bytes of a file. */
  of(extents: readonly Extent[], offset: number, lengthBytes: number): number[] {
    return [...new Set([...pieces(extents, offset, lengthBytes)].map(({ chunk }) => chunk))]
  }

  /** Errors: EIO (a poisoned page). */
  zero(extents: readonly Extent[], offset: number, lengthBytes: number): Errno | undefined {
    for (const piece of pieces(extents, offset, lengthBytes)) {
      const failed = zeroRaw(this.#mapping(piece.chunk), piece.offset, piece.lengthBytes)
      if (failed === EIO) this.#suspect(piece)
      if (failed !== undefined) return failed
    }
    return undefined
  }

  /** Numbers of blocks to which an access failed, since the last call. */
  takeSuspected(): readonly number[] {
    const suspected = this.#suspected
    this.#suspected = []
    return suspected
  }

  /** An access to the piece failed: notes which blocks of it cannot be read. */
  #suspect({ chunk, offset, lengthBytes }: Piece): void {
    const mapping = this.#mapping(chunk)
    for (let at = offset; at < offset + lengthBytes; ) {
      const block = Math.floor(at / BLOCK_BYTES)
      const end = Math.min((block + 1) * BLOCK_BYTES, offset + lengthBytes)
      if (readRaw(mapping, at, Buffer.alloc(end - at)) === EIO)
        this.#suspected.push(chunk * CHUNK_BLOCKS + block)
      at = end
    }
  }

  #mapping(chunk: number): RawMapping {
    const mapping = this.#mapped.get(chunk)
    if (mapping === undefined) throw new BrokenInvariantError(`chunk ${chunk} is used before it is mapped`)
    return mapping
  }

  #request(chunk: number): void {
    if (this.#requested.has(chunk)) return
    this.#requested.add(chunk)
    this.#worker.send('chunk', rangesOf(this.#layout, [chunkExtent(this.#layout, chunk)]), (result) => {
      this.#requested.delete(chunk)
      if (result.kind === 'mapped') this.#mapped.set(chunk, result.mapping)
      if (result.kind === 'failed') this.#failed.set(chunk, errnoFromCode(result.errnoCode))
    })
  }
}

/** The bytes from `offset` on, in file order, cut where a data chunk or an extent ends. */
export function* pieces(
  extents: readonly Extent[],
  offset: number,
  lengthBytes: number,
): IterableIterator<Piece> {
  let skip = offset
  let left = lengthBytes
  for (const { start, count } of extents) {
    const extentBytes = count * BLOCK_BYTES
    let at = skip
    skip = Math.max(0, skip - extentBytes)
    while (at < extentBytes && left > 0) {
      const byte = start * BLOCK_BYTES + at
      const chunk = chunkOf(Math.floor(byte / BLOCK_BYTES))
      const inChunk = byte - chunk * CHUNK_BLOCKS * BLOCK_BYTES
      const length = Math.min(left, extentBytes - at, CHUNK_BLOCKS * BLOCK_BYTES - inChunk)
      yield { chunk, offset: inChunk, lengthBytes: length }
      at += length
      left -= length
    }
  }
  if (left > 0) throw new BrokenInvariantError(`${left} bytes lie beyond the blocks of their file`)
}
