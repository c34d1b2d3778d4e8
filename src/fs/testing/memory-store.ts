/**
 * A store for tests: memory that is plain bytes, with either kind of clearing, which a test can make fail.
 * Its contents outlive any FileSystem over it, as real memory outlives a server, so a crash is modelled by
 * building a new FileSystem over the same store. Blocks hold only their first `modelBytes` bytes: enough to
 * see whose they are, few enough to copy whole pools in a test.
 */
import {
  BLOCK_BYTES,
  type Extent,
  type FileData,
  type FrameGrid,
  type GuestRam,
  type Handover,
  type HostMemory,
  type MemoryState,
  type NodeRam,
  type Placement,
  type PoolPlace,
  type Store,
  type StoreDescriptor,
} from '../../stores/store.ts'
import { ENXIO } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { Refusal, Wait } from '../../values/refusal.ts'

/** How a store clears blocks, and whether it has data chunks: what the file system must mind. */
export type MemoryKind = Pick<MemoryStoreOptions, 'clearing' | 'chunkBlocks'>

export interface MemoryStoreOptions {
  readonly clearing: 'kernel' | 'ours'
  readonly totalBlocks: number
  /**
   * Bytes at the beginning of each block that are kept; what is written behind them is lost. Default: 4096.
   */
  readonly modelBytes?: number
  readonly chunkBlocks?: number | undefined
  readonly contiguous?: boolean | undefined
  readonly frames?: FrameGrid | undefined
  readonly place?: PoolPlace | undefined
  /** What the blocks of the pool hold before the first write (`clearing: 'ours'` only). Default: 0. */
  readonly formerByte?: number
}

interface Memory {
  sizeBytes: number
  extents: readonly Extent[]
}

/** The next answers of the calls that can fail. */
function noFailures() {
  const [create, resize, isHeld]: [Refusal[], Refusal[], Wait[]] = [[], [], []]
  const [read, write, punchHole]: [Refusal[], Refusal[], Refusal[]] = [[], [], []]
  return { create, resize, isHeld, read, write, punchHole }
}

const PASSTHROUGH: GuestRam = { via: 'passthrough', mapping: () => ({ via: 'passthrough', fd: -1 as Fd }) }

/** Guest RAM that is shown as a symlink. */
export const NODES: NodeRam = {
  via: 'dax-node',
  mapping: (object) => ({ via: 'dax-node', path: NODES.path(object), device: undefined }),
  path: (object) => `/dev/guestmemfs/${object}`,
  publish: () => undefined,
  owner: () => undefined,
  own: () => undefined,
  unpublish: () => undefined,
}

/** Also its own `FileData`: tests call either. */
export class MemoryStore implements Store, FileData {
  readonly descriptor: StoreDescriptor
  /** A test may have it mapped otherwise. */
  ram: GuestRam = PASSTHROUGH
  readonly handover: Handover | undefined = undefined
  /** Memory of the host has no place, and a pool of it any size. */
  readonly hostMemory: HostMemory | undefined
  /** Objects that are not present. */
  readonly states = new Map<ObjectId, MemoryState>()
  /** Objects that a mapping holds. */
  readonly held = new Set<ObjectId>()
  /** Answered once each by the next calls of that name. */
  readonly failures = noFailures()
  readonly #modelBytes: number
  readonly #formerByte: number
  readonly #memories = new Map<ObjectId, Memory>()
  /** `ours`: the pool's blocks. `kernel`: pages of each object, gone with it. */
  readonly #blocks = new Map<string, Uint8Array>()
  #nextMemory = 1

  constructor(options: MemoryStoreOptions) {
    const { clearing, totalBlocks, chunkBlocks, contiguous = false, frames, place } = options
    const rules = { chunkBlocks, contiguous, frames }
    this.descriptor = { kind: 'memfd', clearing, totalBlocks, rules, place }
    const isBounded = clearing === 'ours' || chunkBlocks !== undefined
    this.hostMemory = isBounded ? undefined : { resized: () => {}, storeUse: undefined }
    this.#modelBytes = options.modelBytes ?? 4096
    this.#formerByte = options.formerByte ?? 0
  }

  /** A copy of all memory: later changes of one do not show in the other. */
  clone(): MemoryStore {
    const { clearing, totalBlocks, rules, place } = this.descriptor
    const [modelBytes, formerByte] = [this.#modelBytes, this.#formerByte]
    const copy = new MemoryStore({ clearing, totalBlocks, ...rules, place, modelBytes, formerByte })
    for (const object of this.held) copy.held.add(object)
    for (const [id, memory] of this.#memories) copy.#memories.set(id, { ...memory })
    for (const [key, bytes] of this.#blocks) copy.#blocks.set(key, bytes.slice())
    copy.#nextMemory = this.#nextMemory
    return copy
  }

  create(): ObjectId | Refusal {
    const failure = this.failures.create.shift()
    if (failure) return failure
    const object = this.#nextMemory++ as ObjectId
    this.#memories.set(object, { sizeBytes: 0, extents: [] })
    return object
  }

  state(object: ObjectId): MemoryState {
    return this.states.get(object) ?? 'present'
  }

  adopt(): void {}

  get data(): FileData {
    return this
  }

  resize(object: ObjectId, to: Placement): Refusal | undefined {
    const failure = this.failures.resize.shift()
    if (failure) return failure
    const found = this.#memory(object)
    // What is cut off reads as zero when the object grows again. A kernel drops all pages of it; where the
    // store clears blocks itself, it touches only the last kept block: the others no longer belong to the
    // object.
    const clearable = this.descriptor.clearing === 'kernel' ? found.extents : to.extents
    this.#clear(object, to.sizeBytes, found.sizeBytes, clearable)
    found.sizeBytes = to.sizeBytes
    found.extents = to.extents
    return undefined
  }

  isHeld(object: ObjectId): boolean | Wait {
    return this.failures.isHeld.shift() ?? this.held.has(object)
  }

  release(object: ObjectId): void {
    if (this.descriptor.clearing === 'kernel')
      for (const key of this.#blocks.keys()) if (key.startsWith(`${object}/`)) this.#blocks.delete(key)
    this.#memories.delete(object)
  }

  objects(): Iterable<ObjectId> {
    return this.#memories.keys()
  }

  read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal {
    const failure = this.failures.read.shift()
    if (failure) return failure
    const length = Math.max(0, Math.min(into.length, this.#memory(object).sizeBytes - offset))
    into.fill(0, 0, length)
    for (const piece of this.#pieces(object, offset, offset + length)) {
      into.set(this.#block(piece.key).subarray(piece.from, piece.to), piece.at - offset)
    }
    return length
  }

  write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal {
    const failure = this.failures.write.shift()
    if (failure) return failure
    const length = Math.max(0, Math.min(from.length, this.#memory(object).sizeBytes - offset))
    for (const piece of this.#pieces(object, offset, offset + length)) {
      const block = this.#block(piece.key)
      this.#blocks.set(piece.key, block)
      block.set(from.subarray(piece.at - offset, piece.at - offset + piece.to - piece.from), piece.from)
    }
    return length
  }

  punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined {
    const failure = this.failures.punchHole.shift()
    if (failure) return failure
    this.#clear(object, offset, offset + length, this.#memory(object).extents)
    return undefined
  }

  /** Without knowledge of holes, as lseek(2) allows: everything is data. */
  seek(object: ObjectId, offset: number, whence: number): number | Refusal {
    const { sizeBytes } = this.#memory(object)
    if (offset >= sizeBytes) return ENXIO
    return whence === 3 ? offset : sizeBytes
  }

  metadataArea(): Uint8Array {
    throw new Error('a memory store keeps no image: a test brings its own area')
  }

  /** Zeroes dirty blocks, as the worker does. */
  zero({ start, count }: Extent): void {
    for (let block = start; block < start + count; block++)
      this.#blocks.set(`pool/${block}`, new Uint8Array(this.#modelBytes))
  }

  /** The bytes of a block of the pool, whether or not a file owns it (`clearing: 'ours'` only). */
  blockBytes(block: number): Uint8Array {
    return this.#block(`pool/${block}`).slice()
  }

  /**
   * What a block holds. For one that was never written these are new bytes, which the store does not keep.
   */
  #block(key: string): Uint8Array {
    const former = this.descriptor.clearing === 'ours' ? this.#formerByte : 0
    return this.#blocks.get(key) ?? new Uint8Array(this.#modelBytes).fill(former)
  }

  #memory(object: ObjectId): Memory {
    const found = this.#memories.get(object)
    if (!found) throw new Error(`there is no memory ${object}`)
    return found
  }

  #clear(object: ObjectId, start: number, end: number, extents: readonly Extent[]): void {
    for (const { key, from, to } of this.#pieces(object, start, end, extents)) {
      // What was never written reads as zero already, but for a pool's former bytes.
      if (!this.#blocks.has(key) && this.#formerByte === 0) continue
      const block = this.#block(key)
      this.#blocks.set(key, block)
      block.fill(0, from, to)
    }
  }

  /**
   * The modelled bytes of a range, block by block: `key` of the block, `from`.. `to` in it, `at` in the
   * memory.
   */
  *#pieces(object: ObjectId, start: number, end: number, extents = this.#memory(object).extents) {
    let blockStart = 0
    for (const { start: first, count } of extents)
      for (let block = first; block < first + count; block++, blockStart += BLOCK_BYTES) {
        const from = Math.max(start - blockStart, 0)
        const to = Math.min(end - blockStart, this.#modelBytes)
        const key = this.descriptor.clearing === 'ours' ? `pool/${block}` : `${object}/${blockStart}`
        if (from < to) yield { key, from, to, at: blockStart + from }
      }
  }
}
