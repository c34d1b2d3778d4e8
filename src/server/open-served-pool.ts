/**
 * The opening of a pool in two steps, while its former server may still have it: this server first reads the
 * image without a store into it, so that a refusal leaves the former server as it was; the keeper ends the
 * former server, and only then this one changes a byte.
 */
import type { FileSystem } from '../fs/file-system.ts'
import type { Image } from '../fs/image/image.ts'
import type { State } from '../fs/state/state.ts'
import { mapPrivate } from '../linux/private-map.ts'
import type { Store } from '../stores/store.ts'
import type { Fd } from '../values/ids.ts'
import { isInRegion } from '../values/store-kinds.ts'
import { ImageLock } from './image-lock.ts'
import type { KeeperLink } from './keeper-link.ts'
import type { MemorySource, ToServer } from './messages.ts'
import { checkServable, openFileSystem, type PoolToOpen } from './open-file-system.ts'
import { openMemfds, openRegion, type RegionSource, readableBlocks } from './open-store.ts'
import { copyWithoutPages, findPoisonedPages, punchPages } from './poisoned-pages.ts'

export interface ServedPool {
  readonly store: Store
  readonly fs: FileSystem
  readonly image: Image<State>
}

export interface ReadPool {
  readonly totalBlocks: number
  /** There was no image before. */
  readonly isNew: boolean
  /**
   * The keeper has ended the former server: process `ended` (null: there was none; undefined: a keeper of a
   * former version does not report it). Errors: as of the first step; ImageInUseError.
   */
  readonly open: (ended: number | null | undefined) => ServedPool
}

type OpenOrder = Extract<ToServer, { kind: 'open' }>

/** What this process has for the opening of a pool. */
export interface Means {
  readonly link: KeeperLink
  readonly runtime: Fd
  /** Descriptor table, image, and what the former kernel handed over; none of them for a region. */
  readonly areas: readonly Fd[]
  /** A descriptor below all those: see `ImageLock`. */
  readonly lockPlace: Fd
  readonly log: (line: string) => void
}

/**
 * A region has no file of its own to lock. Its servers on one connection share the runtime area, and each
 * locks that: keepers that copied the region's lock from the same former server are not excluded by it.
 * Errors: UsageError, CorruptBytesError: the pool cannot be served, and nothing has changed.
 */
export async function readPool(order: OpenOrder, means: Means): Promise<ReadPool> {
  const { source } = order
  if (!isInRegion(source)) return await readMemfds(order, source, means)
  await means.link.expect('begin')
  const lock = new ImageLock(order.pool, means.runtime, means.lockPlace)
  if (order.isServed) return readServedRegion(order.pool, source, lock)
  lock.take(undefined)
  return openWholeRegion(order.pool, source)
}

/** The caller holds the lock. */
function openWholeRegion(pool: string, source: RegionSource): ReadPool {
  const { store, isNew } = openRegion(pool, source)
  const opened = { store, ...openFileSystem(store, { pool, isNew }) }
  return { totalBlocks: opened.fs.statfs().totalBlocks, isNew, open: () => opened }
}

/**
 * The keeper has stopped the former server, or that has died and only its keeper runs. A poisoned page of the
 * image ends this process, and the keeper lets the former server continue.
 */
const readServedRegion = (pool: string, source: RegionSource, lock: ImageLock): ReadPool => ({
  totalBlocks: readableBlocks(pool, source),
  isNew: false,
  open: (ended) => {
    lock.take(ended)
    return openWholeRegion(pool, source).open(ended)
  },
})

async function readMemfds(
  { pool: name, mayHaveLostPages }: OpenOrder,
  source: Extract<MemorySource, { kind: 'memfd' }>,
  { link, areas, lockPlace, log }: Means,
): Promise<ReadPool> {
  const { store, ...opened } = await openMemfds(link, source, areas)
  const pool: PoolToOpen = { pool: name, ...opened }
  const imageFd = areas[1] as Fd
  const lock = new ImageLock(name, imageFd, lockPlace)
  const areaBytes = store.metadataArea().length
  const poisoned = mayHaveLostPages ? findPoisonedPages(imageFd, areaBytes) : []
  if (poisoned.length > 0)
    log(`${poisoned.length} pages of the image are poisoned, from offset ${poisoned[0]} on`)
  const openLocked = (): ServedPool => {
    if (poisoned.length > 0) punchPages(imageFd, areaBytes, poisoned)
    return { store, ...openFileSystem(store, pool) }
  }
  // The former server may hold the lock still.
  const isLocked = lock.tryTake()
  const early = isLocked ? openLocked() : undefined
  const copy = () =>
    mapPrivate(poisoned.length === 0 ? imageFd : copyWithoutPages(imageFd, areaBytes, poisoned))
  const totalBlocks = early?.fs.statfs().totalBlocks ?? checkServable(copy(), store, pool)
  return {
    totalBlocks,
    isNew: opened.isNew,
    open: (ended) => {
      if (!isLocked) lock.take(ended)
      return early ?? openLocked()
    },
  }
}
