/**
 * Pages of a pool's image that the kernel has poisoned after a memory failure (hwpoison): found by system
 * calls, which fail with EIO where a load would be SIGBUS, and punched out, so that the server can read the
 * rest.
 *
 * Why nothing wrong is ever served: a page that is punched out reads as zero. The header and the words of a
 * log segment are needed to read everything else, so an image without them is refused before anything is
 * changed. Of a slot, the commit word is zeroed first: recovery then takes the checkpoint before it, whose
 * two segments are whole or fail their check. A record of a segment below its tail word that is zero is an
 * acknowledged one that is missing, and refused; above it no record was acknowledged. A server that dies in
 * between leaves pages that are still poisoned, and the next server does all of it again.
 */
import { geometryOf, HEADER_BYTES, SEGMENT, SLOT } from '../fs/image/image-format.ts'
import { must } from '../linux/library.ts'
import { memfdCreate, memfdSize, punchHole, readAt, resize, seek, writeAllAt } from '../linux/memory.ts'
import { EFAULT, EIO, ENXIO, type Errno } from '../values/errno.ts'
import { CorruptBytesError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { SEEK_DATA, SEEK_HOLE } from '../values/uapi.ts'
import { MIB, PTE_BYTES } from '../values/units.ts'

const LOOK_BYTES = MIB
const WORD_BYTES = 8

/**
 * Offsets of the pages of `image` that cannot be read. What is missing at its end counts as poisoned: every
 * image is made with all of its `areaBytes`.
 */
export function findPoisonedPages(image: Fd, areaBytes: number): number[] {
  const poisoned = [...portions(image)].flatMap(({ from, end }) => poisonedIn(image, from, end))
  const { sizeBytes } = memfdSize(image)
  for (let page = sizeBytes - (sizeBytes % PTE_BYTES); page < areaBytes; page += PTE_BYTES)
    poisoned.push(page)
  return [...new Set(poisoned)]
}

/** All of `image` that is no hole, a piece at a time. */
function* portions(image: Fd): IterableIterator<{ from: number; end: number }> {
  const { sizeBytes } = memfdSize(image)
  for (let at = 0; at < sizeBytes; ) {
    const data = seek(image, at, SEEK_DATA)
    if (data === ENXIO) return // Nothing but a hole follows.
    const begin = must(data, 'lseek of the image')
    const end = must(seek(image, begin, SEEK_HOLE), 'lseek of the image')
    for (let from = begin; from < end; from += LOOK_BYTES)
      yield { from, end: Math.min(end, from + LOOK_BYTES) }
    at = end
  }
}

function poisonedIn(image: Fd, from: number, end: number): number[] {
  const bytes = Buffer.alloc(end - from)
  if (!isFailedRead(readAt(image, from, bytes), bytes.length)) return []
  const pages = Array.from(
    { length: Math.ceil((end - from) / PTE_BYTES) },
    (_, index) => from + index * PTE_BYTES,
  )
  return pages.filter((page) => {
    const part = bytes.subarray(0, Math.min(PTE_BYTES, end - page))
    return isFailedRead(readAt(image, page, part), part.length)
  })
}

/**
 * EIO, as of a poisoned page, or an end that comes too early. Any other errno is not about the page, and is
 * thrown.
 */
const isFailedRead = (read: number | Errno, lengthBytes: number): boolean =>
  read === EIO || read === EFAULT || must(read, 'pread of the image') !== lengthBytes

/**
 * Makes the poisoned pages readable again, as zeroes. The caller holds the image's lock, and has not read the
 * image. Throws CorruptBytesError, with nothing changed, where recovery needs what they held.
 */
export function punchPages(image: Fd, areaBytes: number, poisoned: readonly number[]): void {
  const { slotOffsets, slotBytes, segmentOffsets } = geometryOf(areaBytes)
  const isPoisoned = (offset: number, lengthBytes: number): boolean =>
    poisoned.some((page) => page < offset + lengthBytes && page + PTE_BYTES > offset)
  if (
    isPoisoned(0, HEADER_BYTES) ||
    segmentOffsets.some((offset) => isPoisoned(offset, SEGMENT.firstRecord + WORD_BYTES))
  )
    throw new CorruptBytesError(
      'the machine has lost memory of the image without which the rest cannot be read',
    )
  if (memfdSize(image).sizeBytes < areaBytes) must(resize(image, areaBytes), 'ftruncate of the image')
  for (const offset of slotOffsets) {
    if (!isPoisoned(offset, slotBytes) || isPoisoned(offset + SLOT.commitWord, WORD_BYTES)) continue
    must(writeAllAt(image, offset + SLOT.commitWord, new Uint8Array(WORD_BYTES)), 'pwrite of a commit word')
  }
  // The kernel removes a punched page from the file, poisoned or not, and a hole reads as zero.
  for (const page of poisoned) must(punchHole(image, page, PTE_BYTES), 'punching a poisoned page')
}

/**
 * A memfd with what the image will hold when these pages are punched out: for a server that must not change
 * the image yet, because another one has it. Throws as `punchPages` does.
 */
export function copyWithoutPages(image: Fd, areaBytes: number, poisoned: readonly number[]): Fd {
  const copy = memfdCreate('guestmemfs:without-poisoned-pages', { sealable: false })
  must(resize(copy, areaBytes), 'ftruncate of the copy')
  const isPoisoned = new Set(poisoned)
  for (const { from, end } of portions(image))
    for (let page = from; page < end; page += PTE_BYTES) {
      if (isPoisoned.has(page)) continue
      const bytes = Buffer.alloc(Math.min(PTE_BYTES, end - page))
      must(readAt(image, page, bytes), 'pread of the image')
      must(writeAllAt(copy, page, bytes), 'pwrite of the copy')
    }
  punchPages(copy, areaBytes, poisoned)
  return copy
}
