/**
 * Owns the descriptors of a pool's shared areas: descriptor table, image, and the runtime area of the current
 * connection. Sparse memfds: what is not used costs nothing.
 */
import { mapShared, memfdCreate, resize } from '../linux/memory.ts'
import { RUNTIME_AREA_BYTES } from '../server/runtime-area.ts'
import { DESCRIPTOR_TABLE_BYTES, DescriptorTable } from '../stores/descriptor-table.ts'
import { METADATA_AREA_BYTES } from '../stores/memfd.ts'
import type { Fd } from '../values/ids.ts'

export interface Areas {
  readonly runtime: Fd
  /** Descriptor table and image: a pool of memfds keeps both in memfds of its own, any other in its own memory. */
  readonly memfd: readonly [table: Fd, image: Fd] | undefined
}

const sparse = (name: string, sizeBytes: number): Fd => {
  const fd = memfdCreate(name, { sealable: false })
  resize(fd, sizeBytes)
  return fd
}

export const makeImage = (): Fd => sparse('guestmemfs:image', METADATA_AREA_BYTES)
export const makeRuntime = (): Fd => sparse('guestmemfs:runtime', RUNTIME_AREA_BYTES)

export const makeTable = (): { fd: Fd; table: DescriptorTable } => {
  const fd = sparse('guestmemfs:descriptors', DESCRIPTOR_TABLE_BYTES)
  return { fd, table: mapTable(fd) }
}

export const mapTable = (fd: Fd): DescriptorTable =>
  new DescriptorTable(mapShared(fd, DESCRIPTOR_TABLE_BYTES))
