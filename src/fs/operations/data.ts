/** read and seek of ordinary files. Guest RAM is accessed by mmap alone. write is in write.ts. */
import { EINVAL, EISDIR, ENXIO, EOPNOTSUPP, Errno } from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import { SEEK_DATA, SEEK_HOLE } from '../../values/uapi.ts'
import { type Inode, objectOf } from '../state/inode.ts'
import type { Volume } from '../state/volume.ts'

/**
 * Returns bytes read, 0 at the end. Errors: ESTALE, EISDIR, EINVAL, EOPNOTSUPP for guest RAM, the store's.
 */
export function read(volume: Volume, ino: Ino, offset: number, into: Uint8Array): number | Refusal {
  const inode = ordinaryFile(volume, ino)
  if (inode instanceof Errno) return inode
  if (offset < 0) return EINVAL
  const length = Math.min(into.length, inode.sizeBytes - offset)
  return length <= 0 ? 0 : volume.store.data.read(objectOf(inode), offset, into.subarray(0, length))
}

/**
 * SEEK_DATA and SEEK_HOLE: the kernel handles the other whences itself. Guest RAM is reported as all data,
 * which lseek(2) allows: its holes need not be known.
 * Errors: ESTALE, EISDIR, EINVAL, ENXIO beyond the end.
 */
export function seekFile(volume: Volume, ino: Ino, offset: number, whence: number): number | Refusal {
  const inode = regularFile(volume, ino)
  if (inode instanceof Errno) return inode
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return EINVAL
  if (offset < 0 || offset >= inode.sizeBytes) return ENXIO
  if (inode.guestRam) return whence === SEEK_DATA ? offset : inode.sizeBytes
  const found = volume.store.data.seek(objectOf(inode), offset, whence)
  // An object may be larger than its file for a while: the file ends where its inode says.
  const inside = found instanceof Refusal || found < inode.sizeBytes
  return inside ? found : whence === SEEK_HOLE ? inode.sizeBytes : ENXIO
}

/** Errors: ESTALE, EISDIR, EINVAL, EOPNOTSUPP for guest RAM. */
export function ordinaryFile(volume: Volume, ino: Ino): Inode | Errno {
  const inode = regularFile(volume, ino)
  return inode instanceof Errno || !inode.guestRam ? inode : EOPNOTSUPP
}

function regularFile(volume: Volume, ino: Ino): Inode | Errno {
  const inode = volume.inode(ino)
  if (inode instanceof Errno || inode.kind === 'file') return inode
  return inode.kind === 'directory' ? EISDIR : EINVAL
}
