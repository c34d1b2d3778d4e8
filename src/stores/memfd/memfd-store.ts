/**
 * The `memfd` store: every memory object is a memfd of its own, so the kernel provides fresh zeroed pages,
 * keeps them while anything maps them, and lets FUSE pass an mmap straight through to them. Must not: hold
 * anything that would be lost with this process: each memfd is sent to the keeper before a file gets it.
 */
import { close } from '../../linux/descriptors.ts'
import { memfdIdentity, resize, sealWrites, tryMemfdCreate } from '../../linux/memory.ts'
import { ECONNRESET, EIO, EMFILE, EPERM, EPIPE, Errno } from '../../values/errno.ts'
import { BrokenInvariantError, SystemCallError } from '../../values/errors.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { Mapping } from '../../values/mapping.ts'
import { Refusal, Wait } from '../../values/refusal.ts'
import { MIB } from '../../values/units.ts'
import { DescriptorData } from '../descriptor-data.ts'
import {
  type FileData,
  type GuestRam,
  type HostMemory,
  type MemoryState,
  NO_RULES,
  type PendingReleases,
  type Placement,
  type Store,
  type StoreDescriptor,
} from '../store.ts'
import type { StoreEvents } from '../store-events.ts'
import { DescriptorTable } from './descriptor-table.ts'
import { type IncomingChannel, IncomingMemfds } from './incoming-memfds.ts'
import { type OutgoingChannel, OutgoingMemfds } from './outgoing-memfds.ts'

/**
 * Channel to the keeper. A release may be put off until `flush`: until then the object still uses its memory.
 */
export interface KeeperChannel extends OutgoingChannel, IncomingChannel, PendingReleases {
  /** Returns once every descriptor is queued to the keeper: SCM_RIGHTS outlives the sender. */
  hold(objects: readonly ObjectId[], descriptors: readonly Fd[]): void
  release(object: ObjectId): void
  /** The keeper writes it into the pool's record. */
  resized?(totalBlocks: number): void
}

/** Room for the image of about two million small files. Sparse: only what is used takes memory. */
export const METADATA_AREA_BYTES = 512 * MIB

/**
 * Never used for memory objects: the keeper, which would lose a memfd that it has no room for, and each later
 * server need as many descriptors as this one and some of their own.
 */
const RESERVED_DESCRIPTORS = 1024

/**
 * One message to the keeper has several memfds that were made ahead: creating files must not cost a message
 * each.
 */
const MAX_AHEAD = 32

export class MemfdStore implements Store {
  readonly descriptor: StoreDescriptor
  readonly data: FileData
  readonly ram: GuestRam
  readonly events: StoreEvents
  readonly hostMemory: HostMemory
  readonly handover: OutgoingMemfds
  readonly pending: PendingReleases
  readonly #maxDescriptor: number
  readonly #table: DescriptorTable
  readonly #channel: KeeperChannel
  readonly #metadata: Uint8Array
  readonly #spare: ObjectId[] = []
  readonly #incoming: IncomingMemfds
  readonly #freeRows: ObjectId[] = []
  #ahead = 1

  constructor(options: {
    table: DescriptorTable
    channel: KeeperChannel
    metadata: Uint8Array
    totalBlocks: number
    /** Descriptors that a process may have. */
    descriptorLimit: number
  }) {
    const { descriptorLimit } = options
    this.#maxDescriptor = descriptorLimit - Math.min(RESERVED_DESCRIPTORS, Math.floor(descriptorLimit / 8))
    this.#table = options.table
    this.#channel = options.channel
    this.#metadata = options.metadata
    this.#incoming = new IncomingMemfds(this.#table, this.#channel)
    this.handover = new OutgoingMemfds(this.#table, this.#channel, (state) => this.#incoming.count(state))
    this.hostMemory = hostMemoryOf(this.#table, this.#channel)
    const { totalBlocks } = options
    this.descriptor = { kind: 'memfd', clearing: 'kernel', totalBlocks, rules: NO_RULES, place: undefined }
    this.data = new DescriptorData((object) => this.#fdOf(object))
    this.ram = { via: 'passthrough', mapping: (object) => this.#mapping(object) }
    this.events = eventsOf(this.#incoming, this.handover)
    this.pending = options.channel
    for (let row = 1; row < this.#table.usedRows; row++) {
      if (!this.#table.inUse(row as ObjectId)) this.#freeRows.push(row as ObjectId)
    }
  }

  create(): ObjectId | Errno {
    return this.#spare.pop() ?? this.#makeAhead()
  }

  /** Makes a batch, doubling while files are created in a row, sends it to the keeper, returns one of it. */
  #makeAhead(): ObjectId | Errno {
    const objects: ObjectId[] = []
    const descriptors: Fd[] = []
    while (objects.length < this.#ahead) {
      const object = this.#nextRow()
      const fd = object === undefined ? EMFILE : tryMemfd(object, this.#maxDescriptor)
      if (fd instanceof Errno || object === undefined) {
        if (object !== undefined) this.#freeRows.push(object)
        if (objects.length === 0) return fd instanceof Errno ? fd : EMFILE
        break
      }
      this.#table.setIdentity(object, memfdIdentity(fd))
      this.#table.set(object, 'server', fd)
      objects.push(object)
      descriptors.push(fd)
    }
    const refused = tryHold(this.#channel, objects, descriptors)
    if (refused !== undefined) {
      // Its end would free memory that only this process holds: better no file than one that can be lost.
      objects.forEach((object, index) => {
        this.#table.set(object, 'server', undefined)
        close(descriptors[index] as Fd)
      })
      this.#freeRows.push(...objects)
      return refused
    }
    this.#ahead = Math.min(this.#ahead * 2, MAX_AHEAD)
    this.#spare.push(...objects.reverse())
    return this.#spare.pop() as ObjectId
  }

  #nextRow(): ObjectId | undefined {
    const free = this.#freeRows.pop()
    if (free !== undefined) return free
    // Every row taken is written before the next is asked for, so `usedRows` grows by itself.
    const row = this.#table.usedRows
    return row < DescriptorTable.maxRows ? (row as ObjectId) : undefined
  }

  adopt(object: ObjectId, as: Placement): void {
    this.#incoming.adopt(object, as)
    // A file owns the row, though it was empty: an orphan, which is not preserved, or an object that was lost
    // before. No other file may get it.
    if (!this.#incoming.isLost(object)) return
    const free = this.#freeRows.indexOf(object)
    if (free >= 0) this.#freeRows.splice(free, 1)
  }

  state(object: ObjectId): MemoryState {
    if (this.#incoming.isIncoming(object)) return 'incoming'
    if (this.#incoming.isLost(object)) return 'lost'
    return this.#table.state(object) === 'outgoing' ? 'outgoing' : 'present'
  }

  resize(object: ObjectId, to: Placement): Refusal | undefined {
    const fd = this.#fdOf(object)
    if (fd instanceof Refusal) return fd === EIO ? this.#resizeLost(object, to.sizeBytes) : fd
    return resize(fd, to.sizeBytes)
  }

  /** Truncating a lost file to 0 makes a new memfd for it. Recovery resizes it to the size that it had. */
  #resizeLost(object: ObjectId, sizeBytes: number): Errno | undefined {
    if (sizeBytes === this.#incoming.lostBytes(object)) return undefined
    if (sizeBytes !== 0) return EIO
    const fd = tryMemfd(object, this.#maxDescriptor)
    if (fd instanceof Errno) return fd
    const refused = tryHold(this.#channel, [object], [fd])
    if (refused !== undefined) {
      close(fd)
      return refused
    }
    this.#table.setIdentity(object, memfdIdentity(fd))
    this.#table.set(object, 'server', fd)
    this.#incoming.clearLost(object)
    return undefined
  }

  /**
   * A memfd whose writable shared mappings are all gone can be sealed against writing; F_ADD_SEALS answers
   * EBUSY as long as one is left (mapping_deny_writable, mm/memfd.c). Called only for an object that has no
   * name and no open file any more, so the seal affects no process. A mapping that can only read does not
   * count, and need not: the kernel keeps its pages for it, and no other file ever gets them. For the same
   * reason an object that cannot be sealed (EPERM: retrieved on Linux 6.19) counts as one that no process
   * maps: a mapping of it keeps its pages, which the pool then no longer counts.
   */
  isHeld(object: ObjectId): boolean | Wait {
    // The pages of a preserved object are pinned, so that sealing would wait in vain, and are not free before
    // it is unpreserved.
    if (this.#table.state(object) === 'outgoing') return true
    const fd = this.#fdOf(object)
    if (fd instanceof Refusal) return fd instanceof Wait ? fd : false
    const refused = sealWrites(fd)
    return refused !== undefined && refused !== EPERM
  }

  release(object: ObjectId): void {
    const fd = this.#table.get(object, 'server')
    // The row is free for use again only once the keeper has dropped its copy: messages arrive in order, so
    // the keeper always releases this object before it holds the next one of that row.
    this.#channel.release(object)
    if (fd !== undefined) close(fd)
    this.#table.set(object, 'server', undefined)
    this.#incoming.clearLost(object)
    this.#freeRows.push(object)
  }

  objects(): Iterable<ObjectId> {
    const spare = new Set(this.#spare)
    return [...this.#table.objects()].filter((object) => !spare.has(object))
  }

  metadataArea(): Uint8Array {
    return this.#metadata
  }

  #mapping(object: ObjectId): Extract<Mapping, { via: 'passthrough' | 'none' }> {
    const fd = this.#fdOf(object)
    return fd instanceof Refusal ? { via: 'none' } : { via: 'passthrough', fd }
  }

  /** A Wait while it is incoming; EIO where it is lost. */
  #fdOf(object: ObjectId): Fd | Refusal {
    const fd = this.#table.get(object, 'server') ?? this.#incoming.refusal(object)
    if (fd === undefined)
      throw new BrokenInvariantError(`memory object ${object} has no descriptor in this server`)
    return fd
  }
}

const hostMemoryOf = (table: DescriptorTable, channel: KeeperChannel): HostMemory => ({
  resized: (totalBlocks) => {
    table.poolBlocks = totalBlocks
    channel.resized?.(totalBlocks)
  },
  get storeUse() {
    return table.storeUse
  },
})

/** There is work beside the server only while objects are incoming or outgoing: the keeper does it. */
const eventsOf = (incoming: IncomingMemfds, outgoing: OutgoingMemfds): StoreEvents => ({
  get fd() {
    return incoming.isBusy || outgoing.isBusy ? incoming.socket : undefined
  },
  drain() {
    incoming.drain()
    // Sessions from which objects are still to be retrieved stay open for the next keeper.
    if (incoming.socket === undefined && !incoming.isAnyIncoming) outgoing.keeperDied()
  },
})

function tryHold(
  channel: KeeperChannel,
  objects: readonly ObjectId[],
  descriptors: readonly Fd[],
): Errno | undefined {
  try {
    channel.hold(objects, descriptors)
    return undefined
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error
    // The keeper is gone, or the kernel has no memory for the message.
    return error.errno === EPIPE || error.errno === ECONNRESET ? EIO : error.errno
  }
}

function tryMemfd(object: ObjectId, maxDescriptor: number): Fd | Errno {
  const fd = tryMemfdCreate(`guestmemfs:${object}`, { sealable: true })
  if (fd instanceof Errno || fd < maxDescriptor) return fd
  close(fd)
  return EMFILE
}
