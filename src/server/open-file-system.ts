/**
 * Opens a pool's file system on its store: it formats a new pool's image first, and reads any other as it is.
 */
import { randomBytes } from 'node:crypto'
import { FileSystem } from '../fs/file-system.ts'
import { formatOver, formerBadBlocks } from '../fs/image/format-over.ts'
import { type Expected, type Identity, probe } from '../fs/image/header.ts'
import { Image } from '../fs/image/image.ts'
import { unpackImage } from '../fs/image/packed-image.ts'
import { totalBlocksOf } from '../fs/state/pool-size.ts'
import { State } from '../fs/state/state.ts'
import type { Extent, Store } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { wallClock } from './context.ts'

export interface PoolToOpen {
  readonly pool: string
  /** The pool is being made: its image area is empty. */
  readonly isNew: boolean
  /** The image that the former kernel handed over. */
  readonly packed?: Uint8Array
}

/** Throws CorruptBytesError, having changed nothing, when the image cannot be served. */
export function openFileSystem(
  store: Store,
  { pool, isNew, packed }: PoolToOpen,
): { fs: FileSystem; image: Image<State> } {
  const area = store.metadataArea()
  // Where formatting was interrupted, what it had recorded of bad memory is there.
  if (isNew) formatPool(store, pool, knownBad(store))
  const expected = expectedOf(store)
  // A server that died while unpacking left no image: the last store makes it one.
  if (packed !== undefined && probe(area) !== 'image') unpackImage(packed, expected, new State(), area)
  const image = openImage(area, store, pool)
  const fs = new FileSystem(image, store)
  store.hostMemory?.resized(fs.statfs().totalBlocks)
  return { fs, image }
}

/**
 * `copy`: a private mapping of the image, which another server may still serve. Returns the size of the pool,
 * in blocks, when this server can serve it. Errors: those of `openFileSystem`; UsageError when there is no
 * image yet.
 */
export function checkServable(copy: Uint8Array, store: Store, { pool, isNew }: PoolToOpen): number {
  if (isNew || probe(copy) !== 'image')
    throw new UsageError(`another process is making the image of pool '${pool}': mount it again`)
  const { state, identity } = openImage(copy, store, pool)
  return totalBlocksOf(state.properties, identity.totalBlocks)
}

/**
 * `area`: the image of a pool that another server has, which cannot be mapped privately. Errors: those of
 * `openFileSystem`.
 */
export function readState(area: Uint8Array, expected: Expected, pool: string): State {
  const state = new State()
  checkName(Image.read(area, expected, state), pool)
  return state
}

function checkName({ poolName }: Identity, pool: string): void {
  if (poolName !== pool) throw new UsageError(`it is pool '${poolName}': mount it by that name`)
}

function openImage(area: Uint8Array, store: Store, pool: string): Image<State> {
  const image = Image.open(area, expectedOf(store), new State())
  checkName(image.identity, pool)
  return image
}

/**
 * A store of the host's ordinary memory has no size of its own: the image states the one that the pool was
 * made with, and the one it has now.
 */
const expectedOf = ({ descriptor: { kind, totalBlocks, rules }, hostMemory }: Store): Expected => ({
  storeKind: kind,
  ...(hostMemory === undefined && { totalBlocks }),
  chunkBlocks: rules.chunkBlocks,
})

/**
 * Makes an empty pool on the store, whatever it holds. What its memory held before is unknown: where the
 * store clears blocks itself, all of them are dirty, but for `bad`, which no file gets. `reads`: a crash must
 * not lose what an image that is there has recorded as bad, so that one is read; where a page of it has
 * failed, that ends this process.
 */
export function formatPool(
  store: Store,
  pool: string,
  bad: readonly Extent[],
  { reads = true }: { reads?: boolean } = {},
): void {
  const { kind, clearing, totalBlocks } = store.descriptor
  const identity = { poolName: pool, storeKind: kind, totalBlocks, uuid: randomBytes(16) }
  const dirtyBlocks = clearing === 'ours' ? totalBlocks : 0
  const area = store.metadataArea()
  const state = State.fresh(wallClock(), { dirtyBlocks, bad })
  if (!(reads && formatOver(area, identity, state))) Image.format(area, identity, state)
}

function knownBad(store: Store): readonly Extent[] {
  const known = formerBadBlocks(store.metadataArea(), store.descriptor.totalBlocks)
  return typeof known === 'string' ? [] : known
}
