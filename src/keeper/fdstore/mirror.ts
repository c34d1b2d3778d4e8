/**
 * A pool's descriptors in the service manager's store, so that nothing is lost when keeper and server die at
 * once: memory objects as they are created and released, the image, and the connection with its runtime area
 * while the pool is mounted.
 */
import type { Fd } from '../../values/ids.ts'
import { isNearlyFull, type StoreUse } from '../../values/store-use.ts'
import type { Areas } from '../areas.ts'
import type { MemfdTable } from '../memfd-table.ts'
import { type FdStore, isStoredObject, storedName, systemdFdStore } from './fdstore.ts'
import { storedNames } from './restored.ts'

const WARNINGS = {
  near: ({ stored, most }: StoreUse) =>
    `${stored} of ${most} files are in the service manager's store: further ones than that would be lost with keeper and server`,
  full: ({ most }: StoreUse) =>
    `more than ${most} files: the newest are not in the service manager's store, and would be lost with keeper and server`,
}

export class FdStoreMirror {
  readonly #store: FdStore
  readonly #memfds: MemfdTable

  /** `memfds`: mirrored from here on. `log`: writes an event. */
  constructor(memfds: MemfdTable, log: (line: string) => void) {
    this.#memfds = memfds
    let warned: 'near' | 'full' | undefined
    this.#store = systemdFdStore(process.env, (use) => {
      memfds.recordStoreUse(use)
      const level = use.unstored > 0 ? 'full' : isNearlyFull(use) ? 'near' : undefined
      // Logged once each: a pool may cross the limit many times.
      if (level === undefined || warned === 'full' || warned === level) return
      warned = level
      log(level === 'full' ? WARNINGS.full(use) : WARNINGS.near(use))
    })
    const kept = new Set<string>([...memfds.objects].map(storedName))
    // Removes what the last keeper could not remove before it died, before another object gets its name.
    const had = storedNames(process.env).filter(isStoredObject)
    for (const name of had) if (!kept.has(name)) this.#store.remove(name)
    memfds.mirrorIn(this.#store, new Set(had))
  }

  /**
   * `isNew`: the pool is new. `isConnected`: it was mounted before, and still is: then its connection is in
   * the store already, and stays there.
   */
  mounted({ runtime, memfd }: Areas, fuse: Fd, was: { isNew: boolean; isConnected: boolean }): void {
    const store = this.#store
    if (memfd !== undefined) {
      const [table, image] = memfd
      store.replace('table', table) // each keeper has its own
      if (was.isNew) store.replace('image', image)
      else store.put('image', image)
    }
    if (was.isConnected) {
      store.put('runtime', runtime)
      store.put('fuse', fuse)
    } else {
      store.replace('runtime', runtime)
      store.replace('fuse', fuse)
    }
  }

  /** Removes the connection, which is gone. */
  unmounted(): void {
    this.#store.remove('fuse')
  }

  /** Nothing is left to hold. Resolves when the manager was sent that. */
  async ended(): Promise<void> {
    for (const name of ['table', 'image', 'runtime', 'fuse']) this.#store.remove(name)
    for (const object of this.#memfds.objects) this.#store.remove(storedName(object))
    await this.#store.settled()
  }
}
