/**
 * Owns the stores of a carve-out: physical memory that the kernel leaves alone, in blocks that the file system hands out. How
 * guests reach their RAM is where they differ (guest-ram.ts), ordinary files are moved by us through chunks (chunks.ts), and
 * a worker does whatever is slow (work.ts). Memory survives every process and every kexec, so a memory is no more
 * than a number here: what it is made of stands in the image alone, and `adopt` tells it after each start.
 */
import { raiseEventfd } from '../../linux/eventfd.ts'
import type { Holder } from '../../linux/holders.ts'
import { EINVAL, ENXIO } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { type Refusal, WAIT_FOR_STORE, type Wait } from '../../values/refusal.ts'
import { MIB } from '../../values/units.ts'
import {
  type Background,
  BLOCK_BYTES,
  CHUNK_BLOCKS,
  type Exposure,
  type Extent,
  type FrameGrid,
  type Owner,
  type Placement,
  type Store,
} from '../store.ts'
import type { DataChunks } from './data-chunks.ts'
import type { GuestRam } from './guest-ram.ts'
import { gibibyteFrames, type Layout, rangesOf } from './layout.ts'
import type { WorkerPort } from './worker-client.ts'

const SEEK_DATA = 3
/** Zeroed at memory speed in one go; more than that lets other requests in between. */
const PUNCH_BYTES = 64 * MIB

interface Memory extends Placement {
  /** False until what lies behind its last byte in its last block was zeroed: then growing has to. */
  readonly isTailZero: boolean
}

/** A hole of which everything before `nextOffset` is zero already. */
interface Punching {
  readonly offset: number
  readonly length: number
  readonly nextOffset: number
}

const EMPTY: Memory = { sizeBytes: 0, extents: [], guestRam: false, isTailZero: true }

export class CarveOutStore implements Store {
  readonly kind: 'dax' | 'devmem'
  readonly clearing = 'ours'
  readonly reach: 'link' | 'window'
  readonly contiguous: boolean
  readonly frames: FrameGrid | undefined
  readonly place: Store['place']
  readonly chunkBlocks = CHUNK_BLOCKS
  readonly isBehind = false
  readonly handover = undefined
  readonly totalBlocks: number
  readonly background: Background & { readonly wake: Fd }
  readonly #layout: Layout
  readonly #metadata: Uint8Array
  readonly #chunks: DataChunks
  readonly #ram: GuestRam
  readonly #memories = new Map<ObjectId, Memory>()
  readonly #cleared: Extent[] = []
  #nextMemory = 1
  #isClearing = false
  /** Large holes under way: the kernel lets one file have one at a time. */
  readonly #punching = new Map<ObjectId, Punching>()

  constructor(given: {
    kind: 'dax' | 'devmem'
    reach: 'link' | 'window'
    layout: Layout
    metadata: Uint8Array
    worker: WorkerPort
    chunks: DataChunks
    ram: GuestRam
  }) {
    const { layout, worker } = given
    this.kind = given.kind
    this.reach = given.reach
    this.contiguous = given.reach === 'window'
    // /dev/mem maps 4 KiB at a time, wherever memory lies.
    this.frames = given.reach === 'link' ? gibibyteFrames(layout) : undefined
    this.place = { startByte: layout.startByte, sizeBytes: layout.sizeBytes }
    this.totalBlocks = layout.totalBlocks
    this.#layout = layout
    this.#metadata = given.metadata
    this.#chunks = given.chunks
    this.#ram = given.ram
    this.background = this.#backgroundOf(worker)
    for (const object of this.#ram.left()) this.#note(object, EMPTY)
  }

  /** A number that no memory has: there is nothing else to be made, and nothing that a crash could leave. */
  create(): ObjectId {
    const object = this.#nextMemory as ObjectId
    this.#note(object, EMPTY)
    return object
  }

  state(): 'present' {
    return 'present'
  }

  adopt(object: ObjectId, { sizeBytes, extents, guestRam }: Placement): void {
    this.#note(object, { sizeBytes, extents, guestRam, isTailZero: false })
    if (guestRam) this.#ram.adopt(object, extents)
    else this.#chunks.count(extents, 1)
  }

  resize(object: ObjectId, { sizeBytes, extents, guestRam }: Placement): Refusal | undefined {
    const before = this.#of(object)
    this.#punching.delete(object)
    const to = { sizeBytes, extents, guestRam }
    if (guestRam)
      return this.#ram.resize(object, extents) ?? this.#replace(object, { ...to, isTailZero: false })
    const growsBy = Math.max(0, sizeBytes - before.sizeBytes)
    if (growsBy === 0)
      return this.#replace(object, { ...to, isTailZero: before.isTailZero && sizeBytes === before.sizeBytes })

    const tailBytes = before.isTailZero ? 0 : bytesToBlockEnd(before.sizeBytes)
    const waits = this.#chunks.prepare([
      ...this.#chunks.of(extents, before.sizeBytes, growsBy),
      ...this.#chunks.of(extents, before.sizeBytes, tailBytes),
    ])
    if (waits) return waits
    this.#chunks.zero(extents, before.sizeBytes, tailBytes)
    return this.#replace(object, { ...to, isTailZero: true })
  }

  isHeld(object: ObjectId): boolean | Wait {
    return this.#ram.isHeld(object)
  }

  /** For people: a process that was found to hold it, when last looked. */
  holder(object: ObjectId): Holder | undefined {
    return this.#ram.holder(object)
  }

  release(object: ObjectId): void {
    this.#ram.release(object)
    const { guestRam, extents } = this.#memories.get(object) ?? EMPTY
    if (!guestRam) this.#chunks.count(extents, -1)
    this.#memories.delete(object)
    this.#punching.delete(object)
  }

  catchUp(): void {}

  objects(): Iterable<ObjectId> {
    return [...this.#memories.keys()]
  }

  read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal {
    const { extents, sizeBytes } = this.#of(object)
    const bytes = into.subarray(0, Math.max(0, Math.min(into.byteLength, sizeBytes - offset)))
    const waits = this.#chunks.prepare(this.#chunks.of(extents, offset, bytes.byteLength))
    if (waits) return waits
    this.#chunks.read(extents, offset, bytes)
    return bytes.byteLength
  }

  write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal {
    const { extents, sizeBytes } = this.#of(object)
    // A hole that was given up half-way: its beginning may hold bytes again.
    this.#punching.delete(object)
    const bytes = from.subarray(0, Math.max(0, Math.min(from.byteLength, sizeBytes - offset)))
    const waits = this.#chunks.prepare(this.#chunks.of(extents, offset, bytes.byteLength))
    if (waits) return waits
    this.#chunks.write(extents, offset, bytes)
    return bytes.byteLength
  }

  /** What is large goes in portions, one each time it is asked again. */
  punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined {
    const { extents, sizeBytes } = this.#of(object)
    const end = Math.min(offset + length, sizeBytes)
    const before = this.#punching.get(object)
    const start = before?.offset === offset && before.length === length ? before.nextOffset : offset
    const bytes = Math.max(0, Math.min(PUNCH_BYTES, end - start))
    const waits = this.#chunks.prepare(this.#chunks.of(extents, start, bytes))
    if (waits) return waits
    this.#chunks.zero(extents, start, bytes)
    const nextOffset = start + bytes
    this.#punching.delete(object)
    if (nextOffset === end || bytes === 0) return undefined
    this.#punching.set(object, { offset, length, nextOffset })
    // No job will finish: whoever waits is to ask again as soon as it has looked after others.
    raiseEventfd(this.background.wake)
    return WAIT_FOR_STORE
  }

  /** All of a file is data, which lseek(2) allows. Errors: ENXIO past the end. */
  seek(object: ObjectId, offset: number, whence: number): number | Refusal {
    const { sizeBytes } = this.#of(object)
    if (offset < 0 || offset >= sizeBytes) return ENXIO
    return whence === SEEK_DATA ? offset : sizeBytes
  }

  expose(object: ObjectId): Exposure {
    const { guestRam, extents } = this.#of(object)
    return guestRam ? this.#ram.expose(object, extents) : { kind: 'none' }
  }

  publish(object: ObjectId, placement: Placement, owner: Owner): Refusal | undefined {
    const isShown = placement.guestRam && placement.extents.length > 0
    return isShown ? this.#ram.publish(object, placement, owner) : EINVAL
  }

  nodePath(object: ObjectId): string {
    return this.#ram.nodePath(object)
  }

  nodeOwner(object: ObjectId): Owner | undefined {
    return this.#ram.nodeOwner(object)
  }

  metadataArea(): Uint8Array {
    return this.#metadata
  }

  #backgroundOf(worker: WorkerPort): Background & { readonly wake: Fd } {
    const clear = (extent: Extent): boolean => this.#clear(worker, extent)
    return {
      wake: worker.wake,
      drain: () => worker.drain(),
      clear,
      cleared: () => this.#cleared.splice(0),
      get clearedBytes() {
        return worker.progressBytes
      },
    }
  }

  #clear(worker: WorkerPort, extent: Extent): boolean {
    if (this.#isClearing) return false
    this.#isClearing = true
    worker.ask('clear', rangesOf(this.#layout, [extent]), () => {
      this.#isClearing = false
      this.#cleared.push(extent)
    })
    return true
  }

  #note(object: ObjectId, as: Memory): void {
    this.#memories.set(object, as)
    this.#nextMemory = Math.max(this.#nextMemory, object + 1)
  }

  #replace(object: ObjectId, to: Memory): undefined {
    const before = this.#of(object)
    if (!before.guestRam) this.#chunks.count(before.extents, -1)
    if (!to.guestRam) this.#chunks.count(to.extents, 1)
    this.#memories.set(object, to)
  }

  #of(object: ObjectId): Memory {
    const found = this.#memories.get(object)
    if (found === undefined) throw new BrokenInvariantError(`there is no memory ${object}`)
    return found
  }
}

const bytesToBlockEnd = (sizeBytes: number): number =>
  Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES - sizeBytes
