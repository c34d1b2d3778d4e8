/**
 * The stores of a carve-out: physical memory that the kernel leaves alone, in blocks that the file system
 * allocates. They differ in how guests map their RAM (`CarveOutRam`); the server reads and writes ordinary
 * files through chunks (carve-out-data.ts), and a worker does whatever is slow (work-queue.ts).
 */
import type { Holder } from '../../linux/holders.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { Refusal, Wait } from '../../values/refusal.ts'
import type { MemoryFailures } from '../memory-failures.ts'
import {
  BLOCK_BYTES,
  CHUNK_BLOCKS,
  type FrameGrid,
  type GuestRam,
  type NodePart,
  type Placement,
  type Store,
  type StoreDescriptor,
  type Zeroer,
} from '../store.ts'
import type { StoreEvents } from '../store-events.ts'
import { CarveOutData } from './carve-out-data.ts'
import type { CarveOutRam } from './carve-out-ram.ts'
import { CarveOutZeroer } from './carve-out-zeroer.ts'
import type { DataChunks } from './data-chunks.ts'
import { placeOf, type RegionLayout } from './layout.ts'
import { EMPTY, type PlacedObject, PlacedObjects } from './placed-objects.ts'
import type { WorkerPort } from './worker-client.ts'

export interface CarveOutStoreDeps<Ram extends CarveOutRam> {
  readonly kind: string
  readonly layout: RegionLayout
  /** As of `nodesIn`. */
  readonly nodes: readonly NodePart[]
  /** Guest RAM must be one extent. */
  readonly contiguous: boolean
  readonly frames: FrameGrid | undefined
  readonly metadata: Uint8Array
  readonly worker: WorkerPort
  readonly chunks: DataChunks
  readonly ram: Ram
  readonly failures: MemoryFailures
}

export class CarveOutStore<Ram extends CarveOutRam = CarveOutRam> implements Store {
  readonly descriptor: StoreDescriptor
  readonly data: CarveOutData
  readonly ram: Ram & GuestRam
  readonly events: StoreEvents & { readonly fd: Fd }
  readonly zeroer: Zeroer
  readonly memoryFailures: MemoryFailures
  readonly #metadata: Uint8Array
  readonly #chunks: DataChunks
  readonly #objects = new PlacedObjects()

  constructor(deps: CarveOutStoreDeps<Ram>) {
    const { kind, layout, nodes, contiguous, frames, metadata, worker, chunks, ram, failures } = deps
    this.descriptor = {
      kind,
      clearing: 'ours',
      totalBlocks: layout.totalBlocks,
      rules: { chunkBlocks: CHUNK_BLOCKS, contiguous, frames },
      place: placeOf(layout, nodes),
    }
    this.data = new CarveOutData(this.#objects, chunks, worker.wake)
    this.ram = ram
    this.events = {
      fd: worker.wake,
      drain: () => worker.drain(),
      get checkMs() {
        return worker.checkMs
      },
      check: () => worker.check(),
    }
    this.zeroer = new CarveOutZeroer(layout, worker)
    this.memoryFailures = failures
    this.#metadata = metadata
    this.#chunks = chunks
    for (const object of ram.left()) this.#objects.set(object, EMPTY)
  }

  create(): ObjectId {
    return this.#objects.create()
  }

  adopt(object: ObjectId, { sizeBytes, extents, guestRam }: Placement): void {
    this.#objects.set(object, { sizeBytes, extents, guestRam, isTailZero: false })
    if (guestRam) this.ram.adopt(object, extents)
    else this.#chunks.count(extents, 1)
  }

  resize(object: ObjectId, { sizeBytes, extents, guestRam }: Placement): Refusal | undefined {
    const before = this.#objects.get(object)
    this.data.dropHole(object)
    const to = { sizeBytes, extents, guestRam }
    if (guestRam)
      return this.ram.resize(object, extents) ?? this.#replace(object, before, { ...to, isTailZero: false })
    const growsBy = Math.max(0, sizeBytes - before.sizeBytes)
    if (growsBy === 0) {
      const isTailZero = before.isTailZero && sizeBytes === before.sizeBytes
      return this.#replace(object, before, { ...to, isTailZero })
    }
    const tailBytes = before.isTailZero ? 0 : bytesToBlockEnd(before.sizeBytes)
    const waits = this.#chunks.prepare([
      ...this.#chunks.of(extents, before.sizeBytes, growsBy),
      ...this.#chunks.of(extents, before.sizeBytes, tailBytes),
    ])
    if (waits) return waits
    const failed = this.#chunks.zero(extents, before.sizeBytes, tailBytes)
    if (failed !== undefined) return failed
    return this.#replace(object, before, { ...to, isTailZero: true })
  }

  #replace(object: ObjectId, before: PlacedObject, to: PlacedObject): undefined {
    if (!before.guestRam) this.#chunks.count(before.extents, -1)
    if (!to.guestRam) this.#chunks.count(to.extents, 1)
    this.#objects.set(object, to)
  }

  isHeld(object: ObjectId): boolean | Wait {
    return this.ram.isHeld(object)
  }

  /** For messages: a process that the last search found to hold it. */
  holder(object: ObjectId): Holder | undefined {
    return this.ram.holder(object)
  }

  release(object: ObjectId): void {
    this.ram.release(object)
    const { guestRam, extents } = this.#objects.delete(object)
    if (!guestRam) this.#chunks.count(extents, -1)
    this.data.dropHole(object)
  }

  objects(): Iterable<ObjectId> {
    return this.#objects.keys()
  }

  state(): 'present' {
    return 'present'
  }

  metadataArea(): Uint8Array {
    return this.#metadata
  }
}

const bytesToBlockEnd = (sizeBytes: number): number =>
  Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES - sizeBytes
