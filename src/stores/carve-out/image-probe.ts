/**
 * Owns the question what a carve-out holds, once its bytes can be looked at: our image, nothing, or somebody's data. No byte
 * is written here.
 */
import { type RawMapping, readRaw } from '../../linux/raw-memory.ts'
import { PTE_BYTES } from '../../values/units.ts'
import { BLOCK_BYTES } from '../store.ts'

/** What the beginning of a metadata area is: judged by whoever knows the image (`probe` of fs/image/header.ts). */
export type ImageProbe = (firstBytes: Uint8Array) => 'image' | 'unfinished' | 'blank' | 'foreign'

export type Content =
  /** An image of ours, or one whose making never ended: open it. */
  | { readonly content: 'ours' }
  /** The first page of every block is zero: it may be formatted. */
  | { readonly content: 'zero' }
  /** Somebody's data, or what the last owner of this RAM left: only ever overwritten when that was asked for. `why`: for people. */
  | { readonly content: 'foreign'; readonly why: string }

/** Of a metadata area: whether it holds an image, or the beginning of one. */
export function holdsImage(metadata: RawMapping, judge: ImageProbe): boolean {
  const page = new Uint8Array(PTE_BYTES)
  readRaw(metadata, 0, page)
  const judged = judge(page)
  return judged === 'image' || judged === 'unfinished'
}

/**
 * Returns what is wrong with a mapped part of a carve-out, which begins at `startByte`: RAM that somebody used has hardly a block whose
 * first page is zero; none at all is asked for here.
 */
export function foreignBytes(mapping: RawMapping, startByte: number, judge: ImageProbe): string | undefined {
  const page = Buffer.alloc(PTE_BYTES)
  const zeros = Buffer.alloc(PTE_BYTES)
  for (let offset = 0; offset < mapping.lengthBytes; offset += BLOCK_BYTES) {
    readRaw(mapping, offset, page)
    if (page.equals(zeros)) continue
    const at = `0x${(startByte + offset).toString(16)}`
    return judge(page) === 'image'
      ? `it holds an image at ${at}, made when the region had another size or place: boot with the memmap= of then`
      : `it holds data that is not ours, at ${at}`
  }
  return undefined
}
