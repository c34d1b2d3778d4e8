/**
 * Owns the `memfd` store: every memory is a memfd of its own, so the kernel hands out fresh zeroed pages,
 * keeps them while anything maps them, and lets FUSE pass an mmap straight through to them.
 * It must not know files, and holds nothing that would be lost with this process: each memfd reaches the
 * keeper before it is handed out.
 */
import { close } from '../../linux/descriptors.ts'
import { memfdCreate, punchHole, readAt, resize, seek, trySealWrites, writeAt } from '../../linux/memory.ts'
import { EIO, EMFILE, Errno } from '../../values/errno.ts'
import { BrokenInvariantError, SystemCallError } from '../../values/errors.ts'
import type { Fd, MemoryId } from '../../values/ids.ts'
import { DescriptorTable } from './descriptor-table.ts'
import { MemfdArrivals, type Supply } from './incoming.ts'
import { besides } from './memfd-background.ts'
import { type Handing, MemfdHandOver } from './outgoing.ts'
import {
  type Background,
  type Exposure,
  type Owner,
  type Passage,
  type Placement,
  type Store,
  WAITS,
} from '../store.ts'

/** How memfds travel to and leave the keeper: the store's only way out of the process. */
export interface Custody extends Handing, Supply {
  /** Returns once every descriptor is queued to the keeper: from then on it survives this process. */
  keep(memories: readonly MemoryId[], descriptors: readonly Fd[]): void
  /** May be put off until `catchUp`: until then the memory goes on costing what it did. */
  drop(memory: MemoryId): void
  readonly isBehind: boolean
  catchUp(): void
}

/** Room for the image of about two million small files. Sparse: only what is used costs memory. */
export const METADATA_AREA_BYTES = 512 * 1024 * 1024

/**
 * Never used for memory: the keeper, which would lose a memfd it has no room for, and each later server need as many as we
 * do and some of their own.
 */
const RESERVED_DESCRIPTORS = 1024

/** One message to the keeper carries several memfds made ahead: creating files must not cost a message each. */
const MAX_AHEAD = 32

export class MemfdStore implements Store {
  readonly kind = 'memfd'
  readonly clearing = 'kernel'
  readonly slabBlocks = undefined
  readonly reach = 'file'
  readonly handOver: MemfdHandOver
  /** There is work beside the server only while memory is on its way from one kernel to another. */
  readonly background: Background
  readonly inOnePiece = false
  readonly frames = undefined
  readonly place = undefined
  readonly totalBlocks: number
  readonly #maxDescriptor: number
  readonly #table: DescriptorTable
  readonly #custody: Custody
  readonly #metadata: Uint8Array
  readonly #spare: MemoryId[] = []
  readonly #arrivals: MemfdArrivals
  readonly #freeRows: MemoryId[] = []
  #ahead = 1

  constructor(options: {
    table: DescriptorTable
    custody: Custody
    metadata: Uint8Array
    totalBlocks: number
    /** Descriptors that a process may have. */
    descriptorLimit: number
  }) {
    const { descriptorLimit } = options
    this.#maxDescriptor = descriptorLimit - Math.min(RESERVED_DESCRIPTORS, Math.floor(descriptorLimit / 8))
    this.#table = options.table
    this.#custody = options.custody
    this.#metadata = options.metadata
    this.totalBlocks = options.totalBlocks
    this.#arrivals = new MemfdArrivals(this.#table, this.#custody)
    this.handOver = new MemfdHandOver(this.#table, this.#custody)
    this.background = besides(this.#arrivals, this.handOver)
    for (let row = 1; row < this.#table.usedRows; row++) {
      if (!this.#table.inUse(row as MemoryId)) this.#freeRows.push(row as MemoryId)
    }
  }

  create(): MemoryId | Errno {
    return this.#spare.pop() ?? this.#makeAhead()
  }

  /** Makes a batch, doubling while files are created in a row, hands it to the keeper, returns one of it. */
  #makeAhead(): MemoryId | Errno {
    const memories: MemoryId[] = []
    const descriptors: Fd[] = []
    while (memories.length < this.#ahead) {
      const memory = this.#nextRow()
      const fd = memory === undefined ? EMFILE : tryMemfd(memory, this.#maxDescriptor)
      if (fd instanceof Errno || memory === undefined) {
        if (memory !== undefined) this.#freeRows.push(memory)
        if (memories.length === 0) return fd instanceof Errno ? fd : EMFILE
        break
      }
      this.#table.set(memory, 'server', fd)
      memories.push(memory)
      descriptors.push(fd)
    }
    const refused = tryKeep(this.#custody, memories, descriptors)
    if (refused !== undefined) {
      // Memory that only this process holds would die with it: better no file than one that can be lost.
      memories.forEach((memory, index) => {
        this.#table.set(memory, 'server', undefined)
        close(descriptors[index] as Fd)
      })
      this.#freeRows.push(...memories)
      return refused
    }
    this.#ahead = Math.min(this.#ahead * 2, MAX_AHEAD)
    this.#spare.push(...memories.reverse())
    return this.#spare.pop() as MemoryId
  }

  #nextRow(): MemoryId | undefined {
    const free = this.#freeRows.pop()
    if (free !== undefined) return free
    // Every row taken is written before the next is asked for, so `usedRows` moves on by itself.
    const row = this.#table.usedRows
    return row < DescriptorTable.maxRows ? (row as MemoryId) : undefined
  }

  adopt(memory: MemoryId, as: Placement): void {
    this.#arrivals.adopt(memory, as)
    // A file owns the row, though nothing was in it: an orphan that stayed behind, or what was lost before. Nobody else may get it.
    if (!this.#arrivals.isLost(memory)) return
    const free = this.#freeRows.indexOf(memory)
    if (free >= 0) this.#freeRows.splice(free, 1)
  }

  passage(memory: MemoryId): Passage {
    if (this.#arrivals.isAwaited(memory)) return 'awaited'
    if (this.#arrivals.isLost(memory)) return 'lost'
    return this.#table.passage(memory) === 'leaving' ? 'leaving' : 'none'
  }

  resize(memory: MemoryId, to: Placement): Errno | undefined {
    const fd = this.#here(memory)
    if (fd instanceof Errno) return fd === EIO ? this.#resizeLost(memory, to.sizeBytes) : fd
    resize(fd, to.sizeBytes)
    return undefined
  }

  /** Whoever gives a lost file up by emptying it gets a memory again. That it is as large as it was is said by recovery. */
  #resizeLost(memory: MemoryId, sizeBytes: number): Errno | undefined {
    if (sizeBytes === this.#arrivals.lostBytes(memory)) return undefined
    if (sizeBytes !== 0) return EIO
    const fd = tryMemfd(memory, this.#maxDescriptor)
    if (fd instanceof Errno) return fd
    const refused = tryKeep(this.#custody, [memory], [fd])
    if (refused !== undefined) {
      close(fd)
      return refused
    }
    this.#table.set(memory, 'server', fd)
    this.#arrivals.forget(memory)
    return undefined
  }

  /**
   * A memfd whose writable shared mappings are all gone can be sealed against writing; F_ADD_SEALS answers
   * EBUSY as long as one is left (mapping_deny_writable, mm/memfd.c). Only asked of a memory that no name and
   * no open file leads to any more, so the seal hurts nobody. A mapping that can only read does not count, and
   * need not: the kernel keeps its pages for it, and no other file ever gets them.
   */
  isHeld(memory: MemoryId): boolean | Errno {
    // What is preserved is pinned, which sealing would wait for in vain, and not free before it is taken back.
    if (this.#table.passage(memory) === 'leaving') return true
    const fd = this.#here(memory)
    if (fd instanceof Errno) return fd === WAITS ? WAITS : false
    return !trySealWrites(fd)
  }

  release(memory: MemoryId): void {
    const fd = this.#table.get(memory, 'server')
    // The row is free for use again only once the keeper has dropped its copy: messages arrive in order, so
    // a `keep` that reuses the row is always seen after this `drop`.
    this.#custody.drop(memory)
    if (fd !== undefined) close(fd)
    this.#table.set(memory, 'server', undefined)
    this.#arrivals.forget(memory)
    this.#freeRows.push(memory)
  }

  get isBehind(): boolean {
    return this.#custody.isBehind
  }

  catchUp(): void {
    this.#custody.catchUp()
  }

  memories(): Iterable<MemoryId> {
    const spare = new Set(this.#spare)
    return [...this.#table.memories()].filter((memory) => !spare.has(memory))
  }

  read(memory: MemoryId, offset: number, into: Uint8Array): number | Errno {
    const fd = this.#here(memory)
    return fd instanceof Errno ? fd : readAt(fd, offset, into)
  }

  write(memory: MemoryId, offset: number, from: Uint8Array): number | Errno {
    const fd = this.#here(memory)
    return fd instanceof Errno ? fd : writeAt(fd, offset, from)
  }

  punchHole(memory: MemoryId, offset: number, length: number): Errno | undefined {
    const fd = this.#here(memory)
    if (fd instanceof Errno) return fd
    punchHole(fd, offset, length)
    return undefined
  }

  seek(memory: MemoryId, offset: number, whence: number): number | Errno {
    const fd = this.#here(memory)
    return fd instanceof Errno ? fd : seek(fd, offset, whence)
  }

  expose(memory: MemoryId, _placement: Placement): Exposure {
    const fd = this.#here(memory)
    return fd instanceof Errno ? { kind: 'none' } : { kind: 'backing', fd }
  }

  publish(memory: MemoryId): Errno | undefined {
    throw hasNoNode(memory)
  }

  nodePath(memory: MemoryId): string {
    throw hasNoNode(memory)
  }

  nodeOwner(): Owner | undefined {
    return undefined
  }

  metadataArea(): Uint8Array {
    return this.#metadata
  }

  /** Errors: WAITS while it is on its way from the former kernel, EIO where it was lost. */
  #here(memory: MemoryId): Fd | Errno {
    const fd = this.#table.get(memory, 'server') ?? this.#arrivals.refusal(memory)
    if (fd === undefined) throw new BrokenInvariantError(`memory ${memory} has no descriptor in this server`)
    return fd
  }
}

const hasNoNode = (memory: MemoryId) =>
  new BrokenInvariantError(`memory ${memory} is a memfd: FUSE passes its mappings through, it needs no node`)

const tryKeep = (
  custody: Custody,
  memories: readonly MemoryId[],
  descriptors: readonly Fd[],
): Errno | undefined => {
  try {
    custody.keep(memories, descriptors)
    return undefined
  } catch (error) {
    if (error instanceof SystemCallError) return EIO
    throw error
  }
}

const tryMemfd = (memory: MemoryId, maxDescriptor: number): Fd | Errno => {
  try {
    const fd = memfdCreate(`guestmemfs:${memory}`, { sealable: true })
    if (fd < maxDescriptor) return fd
    close(fd)
    return EMFILE
  } catch (error) {
    if (error instanceof SystemCallError) return error.errno
    throw error
  }
}
