/**
 * Owns the size that a pool has now. The image's header says the one it was made with, for good; another one
 * is a property of the root directory, logged like any other change.
 */

import { type Ino, ROOT_INO } from '../../values/ids.ts'
import { decodeProperty, encodeProperty } from '../image/property.ts'
import type { Entry } from './entry.ts'

/** The most that can be asked for, in blocks: 32 TiB. What is known of each block lies in this process. */
export const POOL_BLOCKS_MAX = 2 ** 24

/** The entry that states it. */
export const sizeEntry = (totalBlocks: number): Extract<Entry, { kind: 'property' }> => ({
  kind: 'property',
  ino: ROOT_INO,
  ...encodeProperty({ is: 'size', totalBlocks }),
})

const { number: SIZE } = sizeEntry(1)

/** `made`: in blocks, as the header says it. Errors: CorruptBytesError. */
export function totalBlocksOf(
  properties: ReadonlyMap<Ino, ReadonlyMap<number, Uint8Array>>,
  made: number,
): number {
  const value = properties.get(ROOT_INO)?.get(SIZE)
  return value === undefined ? made : statedBlocks(value)
}

/** What an entry says of the pool's size. undefined: it says something else. */
export const blocksStatedIn = ({ ino, number, value }: ReturnType<typeof sizeEntry>): number | undefined =>
  ino === ROOT_INO && number === SIZE ? statedBlocks(value) : undefined

function statedBlocks(value: Uint8Array): number {
  const property = decodeProperty(SIZE, value)
  return property?.is === 'size' ? property.totalBlocks : 0
}
