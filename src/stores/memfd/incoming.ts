/**
 * Owns memory that this server does not have: handed over by the former kernel and not back yet, or lost on the way. The keeper
 * brings it back in its own time and sends each memfd when it has it; here each is held against what the image says of it.
 */
import { close } from '../../linux/descriptors.ts'
import { memfdSize } from '../../linux/memory.ts'
import { EIO, type Errno } from '../../values/errno.ts'
import type { Fd, MemoryId } from '../../values/ids.ts'
import type { DescriptorTable } from './descriptor-table.ts'
import { type Placement, WAITS } from '../store.ts'

/** The keeper's end, as far as memory comes from there while requests are served. */
export interface Supply {
  /** Readable when something has come; undefined: the keeper is gone, nothing will come. */
  readonly socket: Fd | undefined
  /** Sessions are held here as well, and it will say when to close them. */
  readonly holdsSessions: boolean
  /** What has come, and who lost what: `fd` undefined. Never waits. */
  received(): Iterable<{ readonly memory: MemoryId; readonly fd: Fd | undefined }>
}

export class MemfdArrivals {
  readonly #table: DescriptorTable
  readonly #supply: Supply
  /** By memory: its size, as its inode has it. */
  readonly #awaited = new Map<MemoryId, number>()
  readonly #lost = new Map<MemoryId, number>()

  constructor(table: DescriptorTable, supply: Supply) {
    this.#table = table
    this.#supply = supply
  }

  /** After a start, for each memory that a file owns. */
  adopt(memory: MemoryId, { sizeBytes }: Placement): void {
    const fd = this.#table.get(memory, 'server')
    if (fd !== undefined && this.#table.passage(memory) !== 'lost') return
    // A former server found that it is not what its file says.
    if (fd !== undefined) {
      close(fd)
      this.#table.set(memory, 'server', undefined)
      this.#lose(memory, sizeBytes)
      return
    }
    // What the keeper has by now is on its way to us.
    const passage = this.#table.passage(memory)
    const isComing =
      passage === 'awaited' || (passage !== 'lost' && this.#table.get(memory, 'keeper') !== undefined)
    if (isComing) this.#awaited.set(memory, sizeBytes)
    else this.#lose(memory, sizeBytes)
  }

  get isAnyAwaited(): boolean {
    return this.#awaited.size > 0
  }

  /** The keeper has something to say: memory is to come, or sessions to be closed. */
  get isUnderWay(): boolean {
    return this.#awaited.size > 0 || this.#supply.holdsSessions
  }

  get wake(): Fd | undefined {
    return this.#supply.socket
  }

  isAwaited(memory: MemoryId): boolean {
    return this.#awaited.has(memory)
  }

  isLost(memory: MemoryId): boolean {
    return this.#lost.has(memory)
  }

  /** Why it cannot be used now. Errors: WAITS, EIO; undefined: it is not ours to say. */
  refusal(memory: MemoryId): Errno | undefined {
    if (this.#awaited.has(memory)) return WAITS
    return this.#lost.has(memory) ? EIO : undefined
  }

  /** The size of what was lost. */
  lostBytes(memory: MemoryId): number | undefined {
    return this.#lost.get(memory)
  }

  /** Its file is gone, or was emptied: another memory has its place. */
  forget(memory: MemoryId): void {
    if (this.#lost.delete(memory)) this.#table.setPassage(memory, 'none')
  }

  /** Takes what has come. Without a keeper nothing does: the next one goes on where this one was, and starts another server. */
  drain(): void {
    for (const { memory, fd } of this.#supply.received()) this.#arrived(memory, fd)
  }

  /** One that is smaller than its file is not what was handed over: it is kept by the keeper, and shown to nobody. */
  #arrived(memory: MemoryId, fd: Fd | undefined): void {
    const sizeBytes = this.#awaited.get(memory) ?? 0
    this.#awaited.delete(memory)
    if (fd !== undefined && memfdSize(fd).sizeBytes >= sizeBytes) {
      this.#table.set(memory, 'server', fd)
      return
    }
    if (fd !== undefined) close(fd)
    this.#lose(memory, sizeBytes)
  }

  #lose(memory: MemoryId, sizeBytes: number): void {
    if (!this.#lost.has(memory)) this.#lost.set(memory, sizeBytes)
    this.#table.setPassage(memory, 'lost')
  }
}
