/** Owns what a file says about itself in `guestmemfs.*` xattrs. */
import { BLOCK_BYTES, type Exposure } from '../../stores/store.ts'
import { memoryOf } from '../operations/resize.ts'
import type { Inode } from '../state/inode.ts'
import type { Volume } from '../state/volume.ts'

/** `guestmemfs.extents`: which blocks of the pool hold the file, in file order, in bytes. */
export function describeExtents(_: Volume, inode: Inode): object[] {
  let fileOffsetBytes = 0
  return inode.extents.map(({ start, count }) => {
    const extent = { fileOffsetBytes, poolOffsetBytes: start * BLOCK_BYTES, lengthBytes: count * BLOCK_BYTES }
    fileOffsetBytes += extent.lengthBytes
    return extent
  })
}

/**
 * `guestmemfs.map`: what to open, at which offset, to map the file. Never a descriptor number: it would be this process's alone.
 * `awaited` (memory state `incoming`): the former kernel preserved it, and an open waits until it is retrieved; `lost`: it can only
 * be emptied or deleted.
 */
export function describeMap(volume: Volume, inode: Inode): object {
  const state = volume.store.state(memoryOf(inode))
  if (state === 'incoming' || state === 'lost')
    return {
      kind: state === 'incoming' ? 'awaited' : 'lost',
      sizeBytes: inode.sizeBytes,
      alignBytes: BLOCK_BYTES,
    }
  const exposure = volume.store.expose(memoryOf(inode), inode)
  return { ...how(exposure), sizeBytes: inode.sizeBytes, alignBytes: pageBytes(volume, inode) }
}

/** What a mapping of it must be aligned to, so that it gets the largest pages it can have. */
const pageBytes = ({ store }: Volume, { gigantic }: Inode): number =>
  gigantic && store.frames !== undefined ? store.frames.blocks * BLOCK_BYTES : BLOCK_BYTES

function how(exposure: Exposure): object {
  switch (exposure.kind) {
    case 'backing':
      return { kind: 'file' }
    case 'device':
      return { kind: 'device', path: exposure.path, major: exposure.major, minor: exposure.minor }
    case 'window':
      return { kind: 'window', path: exposure.path, offsetBytes: exposure.offsetBytes }
    case 'none':
      return { kind: 'none' }
    default:
      return exposure satisfies never
  }
}
