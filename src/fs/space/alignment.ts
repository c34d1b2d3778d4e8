/**
 * Which files get gigantic pages: guest RAM made in or below a directory whose xattr
 * `trusted.guestmemfs.align`, in bytes, asks for them; the nearest such directory counts. A file keeps what
 * it was made with: setting the xattr later changes no file that exists.
 */
import { BLOCK_BYTES } from '../../stores/store.ts'
import { EINVAL, EOPNOTSUPP, type Errno } from '../../values/errno.ts'
import { byteString, type Ino, ROOT_INO } from '../../values/ids.ts'
import { GIB, MIB } from '../../values/units.ts'
import { ALIGN_XATTR } from '../../values/xattr-names.ts'
import type { Inode } from '../state/inode.ts'
import type { Volume } from '../state/volume.ts'

export const ALIGN = byteString(ALIGN_XATTR)

/** The values that this pool allows: bytes of its blocks, and of its gigantic pages if it has any. */
export function alignments({ store }: Pick<Volume, 'store'>): number[] {
  const { frames } = store.descriptor.rules
  return frames === undefined ? [BLOCK_BYTES] : [BLOCK_BYTES, frames.blocks * BLOCK_BYTES]
}

/**
 * The value as it is stored: decimal bytes. Errors: EINVAL (no size of pages), EOPNOTSUPP (not in this pool).
 */
export function parseAlignment(volume: Pick<Volume, 'store'>, text: string): Uint8Array | Errno {
  const [, digits, unit = ''] = /^(\d{1,12})([MG]?)$/.exec(text) ?? []
  const bytes = Number(digits) * (unit === 'G' ? GIB : unit === 'M' ? MIB : 1)
  if (alignments(volume).includes(bytes)) return Buffer.from(String(bytes))
  return bytes === GIB ? EOPNOTSUPP : EINVAL
}

/** The value of the directory, or of the nearest one above it that has one; one block where none has. */
export function alignmentOf(volume: Volume, directory: Ino): number {
  for (let at = directory; ; ) {
    const value = volume.state.xattrs.get(at)?.get(ALIGN)
    if (value !== undefined) return Number(Buffer.from(value).toString('latin1'))
    const parent = at === ROOT_INO ? undefined : volume.index.nameOf(at)?.parent
    if (parent === undefined) return BLOCK_BYTES
    at = parent
  }
}

/** Guest RAM that exists stays as it was made; for an empty file its directory decides. */
export function needsFrames(volume: Volume, inode: Inode): boolean {
  if (inode.extents.length > 0) return inode.gigantic
  const directory = volume.index.nameOf(inode.ino)?.parent
  return directory !== undefined && alignmentOf(volume, directory) > BLOCK_BYTES
}
