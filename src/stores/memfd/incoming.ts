/**
 * Owns memory that this server does not have: handed over by the former kernel and not back yet, or lost on the way. The keeper
 * brings it back in its own time and sends each memfd when it has it; here each is held against what the image says of it.
 */
import { close } from '../../linux/descriptors.ts'
import { memfdSize } from '../../linux/memory.ts'
import { EIO, type Errno } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { type Placement, WAITS } from '../store.ts'
import type { DescriptorTable } from './descriptor-table.ts'

/** The keeper's end, as far as memory comes from there while requests are served. */
export interface IncomingChannel {
  /** Readable when something has come; undefined: the keeper is gone, nothing will come. */
  readonly socket: Fd | undefined
  /** Sessions are held here as well, and it will say when to close them. */
  readonly holdsSessions: boolean
  /** What has come, and who lost what: `fd` undefined. Never waits. */
  received(): Iterable<{ readonly memory: ObjectId; readonly fd: Fd | undefined }>
}

export class IncomingMemfds {
  readonly #table: DescriptorTable
  readonly #supply: IncomingChannel
  /** By memory: its size, as its inode has it. */
  readonly #incoming = new Map<ObjectId, number>()
  readonly #lost = new Map<ObjectId, number>()

  constructor(table: DescriptorTable, supply: IncomingChannel) {
    this.#table = table
    this.#supply = supply
  }

  /** After a start, for each memory that a file owns. */
  adopt(object: ObjectId, { sizeBytes }: Placement): void {
    const fd = this.#table.get(object, 'server')
    if (fd !== undefined && this.#table.state(object) !== 'lost') return
    // A former server found that it is not what its file says.
    if (fd !== undefined) {
      close(fd)
      this.#table.set(object, 'server', undefined)
      this.#lose(object, sizeBytes)
      return
    }
    // What the keeper has by now is on its way to us.
    const state = this.#table.state(object)
    const isExpected =
      state === 'incoming' || (state !== 'lost' && this.#table.get(object, 'keeper') !== undefined)
    if (isExpected) this.#incoming.set(object, sizeBytes)
    else this.#lose(object, sizeBytes)
  }

  get isAnyIncoming(): boolean {
    return this.#incoming.size > 0
  }

  /** The keeper has something to say: memory is to come, or sessions to be closed. */
  get isBusy(): boolean {
    return this.#incoming.size > 0 || this.#supply.holdsSessions
  }

  get wake(): Fd | undefined {
    return this.#supply.socket
  }

  isIncoming(object: ObjectId): boolean {
    return this.#incoming.has(object)
  }

  isLost(object: ObjectId): boolean {
    return this.#lost.has(object)
  }

  /** Why it cannot be used now. Errors: WAITS, EIO; undefined: it is not ours to say. */
  refusal(object: ObjectId): Errno | undefined {
    if (this.#incoming.has(object)) return WAITS
    return this.#lost.has(object) ? EIO : undefined
  }

  /** The size of what was lost. */
  lostBytes(object: ObjectId): number | undefined {
    return this.#lost.get(object)
  }

  /** Its file is gone, or was emptied: another memory has its place. */
  forget(object: ObjectId): void {
    if (this.#lost.delete(object)) this.#table.setState(object, 'present')
  }

  /** Takes what has come. Without a keeper nothing does: the next one goes on where this one was, and starts another server. */
  drain(): void {
    for (const { memory: object, fd } of this.#supply.received()) this.#received(object, fd)
  }

  /** One that is smaller than its file is not what was handed over: it is kept by the keeper, and shown to nobody. */
  #received(object: ObjectId, fd: Fd | undefined): void {
    const sizeBytes = this.#incoming.get(object) ?? 0
    this.#incoming.delete(object)
    if (fd !== undefined && memfdSize(fd).sizeBytes >= sizeBytes) {
      this.#table.set(object, 'server', fd)
      return
    }
    if (fd !== undefined) close(fd)
    this.#lose(object, sizeBytes)
  }

  #lose(object: ObjectId, sizeBytes: number): void {
    if (!this.#lost.has(object)) this.#lost.set(object, sizeBytes)
    this.#table.setState(object, 'lost')
  }
}
