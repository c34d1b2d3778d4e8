/**
 * A dax region before its server has opened it: guests that were saved need their RAM and their states then.
 * Instances and nodes are made as the server makes them. A process that ends between any two steps leaves
 * what `open-dax-store.ts` expects of a former server: an instance without a driver, or without a node.
 */
import { type RawMapping, readRaw, unmapRaw, writeRaw } from '../../linux/raw-memory.ts'
import { Errno } from '../../values/errno.ts'
import type { ObjectId } from '../../values/ids.ts'
import { pieces } from '../carve-out/data-chunks.ts'
import { chunkExtent, type RegionLayout, rangesOf } from '../carve-out/layout.ts'
import type { EarlyRegion } from '../driver.ts'
import type { Extent, Owner, Placement } from '../store.ts'
import { DaxInstances, PLACES, type Places } from './dax-instances.ts'
import { GuestNodes } from './guest-nodes.ts'
import type { FoundRegion } from './region.ts'

export class EarlyDaxRegion implements EarlyRegion {
  readonly #layout: RegionLayout
  readonly #instances: DaxInstances
  readonly #nodes: GuestNodes
  readonly #chunks = new Map<number, RawMapping>()

  constructor({ region, layout }: FoundRegion, pool: string, places: Places = PLACES) {
    this.#layout = layout
    this.#instances = new DaxInstances(region.path, places)
    this.#nodes = new GuestNodes(places.nodeRoot, pool)
  }

  reach(object: ObjectId, { extents, gigantic = false }: Placement, owner: Owner): string | Errno {
    const ranges = rangesOf(this.#layout, extents)
    const instance = this.#instances.exactly(ranges) ?? this.#instances.make(ranges, { gigantic })
    if (instance instanceof Errno) return instance
    return this.#nodes.make(object, instance.number, owner) ?? this.#nodes.path(object)
  }

  read(extents: readonly Extent[], sizeBytes: number): Uint8Array | Errno {
    const bytes = Buffer.alloc(sizeBytes)
    return this.#move(extents, bytes, readRaw) ?? bytes
  }

  write(extents: readonly Extent[], bytes: Uint8Array): Errno | undefined {
    return this.#move(extents, bytes, writeRaw)
  }

  #move(
    extents: readonly Extent[],
    bytes: Uint8Array,
    move: typeof readRaw | typeof writeRaw,
  ): Errno | undefined {
    let done = 0
    for (const { chunk, offset, lengthBytes } of pieces(extents, 0, bytes.byteLength)) {
      const mapping = this.#chunk(chunk)
      if (mapping instanceof Errno) return mapping
      const failed = move(mapping, offset, bytes.subarray(done, done + lengthBytes))
      if (failed !== undefined) return failed
      done += lengthBytes
    }
    return undefined
  }

  /** What it made stays, for the server. */
  close(): void {
    for (const mapping of this.#chunks.values()) unmapRaw(mapping)
    this.#chunks.clear()
  }

  /** The instance is that of the server's data chunk. */
  #chunk(chunk: number): RawMapping | Errno {
    const known = this.#chunks.get(chunk)
    if (known !== undefined) return known
    const ranges = rangesOf(this.#layout, [chunkExtent(this.#layout, chunk)])
    const instance = this.#instances.exactly(ranges) ?? this.#instances.make(ranges)
    if (instance instanceof Errno) return instance
    const mapping = this.#instances.map(instance, { writable: true })
    if (!(mapping instanceof Errno)) this.#chunks.set(chunk, mapping)
    return mapping
  }
}
