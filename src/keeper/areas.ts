/**
 * The memfds of a pool's shared areas: descriptor table, image, and the runtime area of the current
 * connection. They are sparse: pages that are not used take no memory.
 */
import { must } from '../linux/library.ts'
import { mapShared, memfdCreate, memfdSize, resize } from '../linux/memory.ts'
import { RUNTIME_AREA_BYTES } from '../server/runtime-area.ts'
import { DESCRIPTOR_TABLE_BYTES, DescriptorTable } from '../stores/memfd/descriptor-table.ts'
import { METADATA_AREA_BYTES } from '../stores/memfd/memfd-store.ts'
import type { Fd } from '../values/ids.ts'

export interface Areas {
  readonly runtime: Fd
  /**
   * Descriptor table and image: a pool of memfds has both in memfds of their own, any other has its image in
   * its region.
   */
  readonly memfd: readonly [table: Fd, image: Fd] | undefined
  /** The image that the former kernel handed over, until the server has unpacked it. */
  readonly packed?: Fd | undefined
  /** Of a region: it is locked as long as keeper or server have a copy of each of these. */
  readonly regionLocks?: readonly Fd[]
}

function sparse(name: string, sizeBytes: number): Fd {
  const fd = memfdCreate(name, { sealable: false })
  must(resize(fd, sizeBytes), `ftruncate ${name}`)
  return fd
}

export const makeImage = (): Fd => sparse('guestmemfs:image', METADATA_AREA_BYTES)
/** It has no size yet. */
export const makePacked = (): Fd => sparse('guestmemfs:packed-image', 0)
export const makeRuntime = (): Fd => sparse('guestmemfs:runtime', RUNTIME_AREA_BYTES)

export function makeTable(): { fd: Fd; table: DescriptorTable } {
  const fd = sparse('guestmemfs:descriptors', DESCRIPTOR_TABLE_BYTES)
  return { fd, table: mapTable(fd) }
}

/** One that a former version made may be shorter: what is missing reads as zero. */
export function mapTable(fd: Fd): DescriptorTable {
  if (memfdSize(fd).sizeBytes < DESCRIPTOR_TABLE_BYTES)
    must(resize(fd, DESCRIPTOR_TABLE_BYTES), 'ftruncate of the descriptor table')
  return new DescriptorTable(mapShared(fd, DESCRIPTOR_TABLE_BYTES))
}
