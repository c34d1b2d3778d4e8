/**
 * What a carve-out holds, once its bytes are mapped: an image of guestmemfs, nothing, or other data. Must
 * not: write a byte.
 */
import { must } from '../../linux/library.ts'
import { type RawMapping, readRaw } from '../../linux/raw-memory.ts'
import { PTE_BYTES } from '../../values/units.ts'
import type { ImageProbe } from '../driver.ts'
import { BLOCK_BYTES } from '../store.ts'

/** Of a metadata area: whether it holds an image, or the beginning of one. */
export function holdsImage(metadata: RawMapping, probe: ImageProbe): boolean {
  const page = new Uint8Array(PTE_BYTES)
  must(readRaw(metadata, 0, page) ?? 0, 'reading the metadata area')
  const found = probe(page)
  return found === 'image' || found === 'unfinished'
}

/**
 * Returns what is wrong with a mapped part of a carve-out, which begins at `startByte`. RAM that was used has
 * hardly a block whose first page is zero; accepted is only memory in which every block's first page is.
 */
export function foreignBytes(mapping: RawMapping, startByte: number, probe: ImageProbe): string | undefined {
  const page = Buffer.alloc(PTE_BYTES)
  const zeros = Buffer.alloc(PTE_BYTES)
  for (let offset = 0; offset < mapping.lengthBytes; offset += BLOCK_BYTES) {
    const at = `0x${(startByte + offset).toString(16)}`
    const failed = readRaw(mapping, offset, page)
    if (failed !== undefined) return `its memory at ${at} cannot be read (${failed}): see dmesg`
    if (page.equals(zeros)) continue
    return probe(page) === 'image'
      ? `it holds an image at ${at}, made when the region had another size or place: boot with the memmap= of then`
      : `it holds data of another program, at ${at}`
  }
  return undefined
}
