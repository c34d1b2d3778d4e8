/**
 * The size that a pool has now. The image's header keeps the one that it was made with; another one is a
 * property of the root directory, logged like any other change.
 */

import { type Ino, ROOT_INO } from '../../values/ids.ts'
import { decodeProperty, encodeProperty } from '../image/property.ts'
import type { Entry } from './entry.ts'

/** The largest size of a pool, in blocks: 32 TiB. The server keeps some bytes in memory for each block. */
export const POOL_BLOCKS_MAX = 2 ** 24

/** The entry that states it. */
export const sizeEntry = (totalBlocks: number): Extract<Entry, { kind: 'property' }> => ({
  kind: 'property',
  ino: ROOT_INO,
  ...encodeProperty({ is: 'size', totalBlocks }),
})

const { number: SIZE } = sizeEntry(1)

/** `made`: the header's number of blocks. Throws `CorruptBytesError`. */
export function totalBlocksOf(
  properties: ReadonlyMap<Ino, ReadonlyMap<number, Uint8Array>>,
  made: number,
): number {
  const value = properties.get(ROOT_INO)?.get(SIZE)
  return value === undefined ? made : statedBlocks(value)
}

/** The size of the pool that an entry states. undefined: it states something else. */
export const blocksStatedIn = ({ ino, number, value }: ReturnType<typeof sizeEntry>): number | undefined =>
  ino === ROOT_INO && number === SIZE ? statedBlocks(value) : undefined

function statedBlocks(value: Uint8Array): number {
  const property = decodeProperty(SIZE, value)
  return property?.is === 'size' ? property.totalBlocks : 0
}
