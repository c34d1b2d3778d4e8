/**
 * Owns the keeper's copies of the pool's memfds. While the keeper lives, no memory is lost by the death of a
 * server; the descriptor table tells everybody else which number each copy has.
 * It must not know files: what is kept and dropped is said by the server, which writes the log.
 */
import { close } from '../linux/descriptors.ts'
import { DESCRIPTORS_PER_MESSAGE } from '../server/messages.ts'
import type { DescriptorTable } from '../stores/memfd/descriptor-table.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import type { Fd, MemoryId } from '../values/ids.ts'
import { type ManagerStore, storedMemory } from './fdstore/fdstore.ts'

export class Custody {
  readonly #table: DescriptorTable
  readonly #descriptors = new Map<MemoryId, Fd>()

  #backup: ManagerStore | undefined

  constructor(table: DescriptorTable) {
    this.#table = table
  }

  /** From now on `store` has a copy of each, for the day when this process and the server both die. */
  backUpIn(store: ManagerStore): void {
    this.#backup = store
    for (const [memory, fd] of this.#descriptors) store.put(storedMemory(memory), fd)
  }

  get memories(): Iterable<MemoryId> {
    return this.#descriptors.keys()
  }

  keep(memories: readonly MemoryId[], descriptors: readonly Fd[]): void {
    if (memories.length !== descriptors.length) {
      throw new BrokenInvariantError(
        `${memories.length} memories came with ${descriptors.length} descriptors`,
      )
    }
    memories.forEach((memory, index) => {
      const fd = descriptors[index] as Fd
      const former = this.#descriptors.get(memory)
      if (former !== undefined) close(former)
      this.#descriptors.set(memory, fd)
      this.#table.set(memory, 'keeper', fd)
      this.#backup?.put(storedMemory(memory), fd)
    })
  }

  drop(memory: MemoryId): void {
    const fd = this.#descriptors.get(memory)
    if (fd === undefined) return
    this.#table.set(memory, 'keeper', undefined)
    this.#descriptors.delete(memory)
    this.#backup?.remove(storedMemory(memory))
    close(fd)
  }

  descriptor(memory: MemoryId): Fd | undefined {
    return this.#descriptors.get(memory)
  }

  get size(): number {
    return this.#descriptors.size
  }

  /** For a new server, in portions that fit one message. */
  *batches(): IterableIterator<{ memories: MemoryId[]; descriptors: Fd[] }> {
    const all = [...this.#descriptors]
    for (let from = 0; from < all.length; from += DESCRIPTORS_PER_MESSAGE) {
      const batch = all.slice(from, from + DESCRIPTORS_PER_MESSAGE)
      yield { memories: batch.map(([memory]) => memory), descriptors: batch.map(([, fd]) => fd) }
    }
  }
}
