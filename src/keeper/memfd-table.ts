/**
 * The keeper's copies of the pool's memfds. While the keeper runs, no memory object is lost when a server
 * ends; the descriptor table holds the number of each copy. It has nothing of files: the server, which writes
 * the log, sends the keeper what to hold and what to release.
 */
import { close } from '../linux/descriptors.ts'
import { DESCRIPTORS_PER_MESSAGE } from '../server/messages.ts'
import type { DescriptorTable } from '../stores/memfd/descriptor-table.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import type { Fd, ObjectId } from '../values/ids.ts'
import type { StoreUse } from '../values/store-use.ts'
import { type FdStore, storedName } from './fdstore/fdstore.ts'

export class MemfdTable {
  readonly #table: DescriptorTable
  readonly #descriptors = new Map<ObjectId, Fd>()

  #fdStore: FdStore | undefined

  constructor(table: DescriptorTable) {
    this.#table = table
  }

  /**
   * From now on `store` has a copy of each, which is left when this process and the server both die. `had`:
   * as in `FdStore.begin`.
   */
  mirrorIn(store: FdStore, had: ReadonlySet<string>): void {
    this.#fdStore = store
    const named = [...this.#descriptors].map(([object, fd]) => [storedName(object), fd] as const)
    store.begin(named, had)
  }

  /** Records for the server how much of the pool is in the service manager's store. */
  recordStoreUse(use: StoreUse): void {
    this.#table.storeUse = use
  }

  get objects(): Iterable<ObjectId> {
    return this.#descriptors.keys()
  }

  hold(objects: readonly ObjectId[], descriptors: readonly Fd[]): void {
    if (objects.length !== descriptors.length) {
      throw new BrokenInvariantError(
        `${objects.length} memory objects came with ${descriptors.length} descriptors`,
      )
    }
    objects.forEach((object, index) => {
      const fd = descriptors[index] as Fd
      const former = this.#descriptors.get(object)
      if (former !== undefined) close(former)
      this.#descriptors.set(object, fd)
      this.#table.set(object, 'keeper', fd)
      this.#fdStore?.put(storedName(object), fd)
    })
  }

  release(object: ObjectId): void {
    const fd = this.#descriptors.get(object)
    if (fd === undefined) return
    this.#table.set(object, 'keeper', undefined)
    this.#descriptors.delete(object)
    this.#fdStore?.remove(storedName(object))
    close(fd)
  }

  descriptor(object: ObjectId): Fd | undefined {
    return this.#descriptors.get(object)
  }

  get size(): number {
    return this.#descriptors.size
  }

  /** All objects, for a new server, in portions that fit one message. */
  *batches(): IterableIterator<{ objects: ObjectId[]; descriptors: Fd[] }> {
    const all = [...this.#descriptors]
    for (let from = 0; from < all.length; from += DESCRIPTORS_PER_MESSAGE) {
      const batch = all.slice(from, from + DESCRIPTORS_PER_MESSAGE)
      yield { objects: batch.map(([object]) => object), descriptors: batch.map(([, fd]) => fd) }
    }
  }
}
