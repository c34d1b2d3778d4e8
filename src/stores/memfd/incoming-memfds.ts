/**
 * Memory objects of which this server has no memfd: incoming from the former kernel, or lost. The keeper
 * retrieves them one after the other and sends each memfd to the server, which checks it against the image
 * here.
 */
import { close } from '../../linux/descriptors.ts'
import { memfdIdentity, memfdSize } from '../../linux/memory.ts'
import { EIO } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { type Refusal, WAIT_FOR_STORE } from '../../values/refusal.ts'
import type { Placement } from '../store.ts'
import type { DescriptorTable } from './descriptor-table.ts'

/** The channel to the keeper, as far as it sends objects while requests are served. */
export interface IncomingChannel {
  /** Readable when the keeper has sent something; undefined: the keeper died and will send nothing. */
  readonly socket: Fd | undefined
  /** This server holds copies of sessions, which it closes when the keeper sends the order. */
  readonly holdsSessions: boolean
  /** Objects that the keeper sent; `fd` undefined: it is lost. Never waits. */
  received(): Iterable<{ readonly object: ObjectId; readonly fd: Fd | undefined }>
}

export class IncomingMemfds {
  readonly #table: DescriptorTable
  readonly #channel: IncomingChannel
  /** By object: its size, as its inode has it. */
  readonly #incoming = new Map<ObjectId, number>()
  readonly #lost = new Map<ObjectId, number>()

  constructor(table: DescriptorTable, channel: IncomingChannel) {
    this.#table = table
    this.#channel = channel
  }

  /** After a start, for each object that a file owns. */
  adopt(object: ObjectId, { sizeBytes }: Placement): void {
    const fd = this.#table.get(object, 'server')
    if (fd !== undefined && this.#table.state(object) !== 'lost') return
    // A former version left the mark of a lost object to the next one of its row, which is whole.
    if (fd !== undefined && memfdSize(fd).sizeBytes >= sizeBytes) {
      this.#table.setState(object, 'present')
      return
    }
    // A former server found that the memfd is smaller than its file.
    if (fd !== undefined) {
      close(fd)
      this.#table.set(object, 'server', undefined)
      this.#lose(object, sizeBytes)
      return
    }
    // The keeper will send this server what it holds by now.
    const state = this.#table.state(object)
    const isExpected =
      state === 'incoming' || (state !== 'lost' && this.#table.get(object, 'keeper') !== undefined)
    if (isExpected) this.#incoming.set(object, sizeBytes)
    else this.#lose(object, sizeBytes)
  }

  count(state: 'incoming' | 'lost'): number {
    return (state === 'incoming' ? this.#incoming : this.#lost).size
  }

  get isAnyIncoming(): boolean {
    return this.#incoming.size > 0
  }

  /** The keeper will send something: objects, or the order to close sessions. */
  get isBusy(): boolean {
    return this.#incoming.size > 0 || this.#channel.holdsSessions
  }

  get socket(): Fd | undefined {
    return this.#channel.socket
  }

  isIncoming(object: ObjectId): boolean {
    return this.#incoming.has(object)
  }

  isLost(object: ObjectId): boolean {
    return this.#lost.has(object)
  }

  /** Why it cannot be used now. Refusals: EIO, a Wait; undefined: it is neither incoming nor lost. */
  refusal(object: ObjectId): Refusal | undefined {
    if (this.#incoming.has(object)) return WAIT_FOR_STORE
    return this.#lost.has(object) ? EIO : undefined
  }

  /** The size of a lost object, as its inode has it. */
  lostBytes(object: ObjectId): number | undefined {
    return this.#lost.get(object)
  }

  /**
   * Its file was deleted or truncated to 0, or no file owns it (an object made ahead, lost with both
   * processes): the next object of that row is not lost.
   */
  clearLost(object: ObjectId): void {
    this.#lost.delete(object)
    if (this.#table.state(object) === 'lost') this.#table.setState(object, 'present')
  }

  /**
   * Receives what the keeper sent. Where the keeper died, the next one continues, and starts another server.
   */
  drain(): void {
    for (const { object, fd } of this.#channel.received()) this.#received(object, fd)
  }

  /**
   * A memfd smaller than its file is not what was preserved: the keeper holds it, and no process can open it.
   */
  #received(object: ObjectId, fd: Fd | undefined): void {
    const sizeBytes = this.#incoming.get(object) ?? 0
    this.#incoming.delete(object)
    if (fd !== undefined && memfdSize(fd).sizeBytes >= sizeBytes) {
      this.#table.setIdentity(object, memfdIdentity(fd))
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
