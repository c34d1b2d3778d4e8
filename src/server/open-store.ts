/**
 * Opens the store of a pool: on the memfds that the keeper holds, or on a region of this machine's memory.
 */
import { probe } from '../fs/image/header.ts'
import { raiseDescriptorLimit } from '../linux/descriptors.ts'
import { must } from '../linux/library.ts'
import { mapShared, memfdIdentity, memfdSize, readAt, resize } from '../linux/memory.ts'
import { checkSeesHolders } from '../stores/carve-out/sees-holders.ts'
import { DESCRIPTOR_TABLE_BYTES, DescriptorTable } from '../stores/memfd/descriptor-table.ts'
import { METADATA_AREA_BYTES, MemfdStore } from '../stores/memfd/memfd-store.ts'
import { findRegion, type RegionChoice } from '../stores/registry.ts'
import type { Store } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { checkAlignment } from './alignment-xattr.ts'
import type { KeeperLink } from './keeper-link.ts'
import type { MemorySource } from './messages.ts'
import { readState } from './open-file-system.ts'

export interface OpenedStore {
  readonly store: Store
  /** No image is there yet. */
  readonly isNew: boolean
  /** The image that the former kernel handed over, to be unpacked where there is none yet. */
  readonly packed?: Uint8Array
}

/**
 * Which region it is, and what it holds. Errors: UsageError where it cannot hold a pool, or has no pages of
 * `alignBytes`.
 */
export function examineRegion(choice: RegionChoice, alignBytes?: number | null) {
  checkSeesHolders(choice.kind)
  const region = findRegion(choice)
  if (alignBytes) checkAlignment(region, alignBytes)
  return { region, content: region.probe(probe) }
}

export type RegionSource = Exclude<MemorySource, { kind: 'memfd' }>

/**
 * A mount never formats a region that holds other bytes than a pool's; only `guestmemfs format` does. Throws
 * UsageError, with nothing changed.
 */
export function openRegion(pool: string, source: RegionSource): OpenedStore {
  const { region, content } = examineRegion(source, source.alignBytes)
  if (content.content === 'foreign') {
    throw new UsageError(
      `region ${region.name}: ${content.why}; if nothing in it is needed any more, 'guestmemfs format ${pool} --store ${source.kind} --region ${region.name} --force'`,
    )
  }
  const store = region.open(pool)
  return { store, isNew: probe(store.metadataArea()) !== 'image' }
}

/**
 * The size, in blocks, of the pool in a region that another server has, by its image: one that this server
 * can read. Changes neither the region nor its devices. Errors: UsageError, CorruptBytesError.
 */
export function readableBlocks(pool: string, source: RegionSource): number {
  checkSeesHolders(source.kind)
  const region = findRegion(source)
  if (source.alignBytes) checkAlignment(region, source.alignBytes)
  const { totalBlocks } = region
  readState(region.readMetadata(), { storeKind: source.kind, totalBlocks }, pool)
  return totalBlocks
}

/** `areas`: descriptor table and image, and what the former kernel handed over. Changes nothing. */
export async function openMemfds(
  link: KeeperLink,
  source: Extract<MemorySource, { kind: 'memfd' }>,
  areas: readonly Fd[],
): Promise<OpenedStore> {
  const [tableFd, imageFd, packedFd] = areas as readonly [Fd, Fd, Fd?]
  // The keeper may be of a former version, whose tables are shorter.
  if (memfdSize(tableFd).sizeBytes < DESCRIPTOR_TABLE_BYTES)
    must(resize(tableFd, DESCRIPTOR_TABLE_BYTES), 'ftruncate of the descriptor table')
  const table = new DescriptorTable(mapShared(tableFd, DESCRIPTOR_TABLE_BYTES))
  table.clear('server')
  await link.expect('begin')
  for (const { object, fd } of link.received()) {
    if (fd !== undefined) table.setIdentity(object, memfdIdentity(fd))
    table.set(object, 'server', fd)
  }
  const metadata = mapShared(imageFd, METADATA_AREA_BYTES)
  const store = new MemfdStore({
    table,
    channel: link,
    metadata,
    totalBlocks: source.totalBlocks,
    descriptorLimit: raiseDescriptorLimit(),
  })
  if (packedFd === undefined) return { store, isNew: source.isNew }
  const packed = Buffer.alloc(memfdSize(packedFd).sizeBytes)
  must(readAt(packedFd, 0, packed), 'pread of the image that came')
  return { store, isNew: source.isNew, packed }
}
