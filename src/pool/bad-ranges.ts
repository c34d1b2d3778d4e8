/**
 * Bad memory as an operator names it: physical addresses with sizes, as `0x140000000+4K`; and which blocks of
 * a region those are.
 */
import { overlap, type PhysicalRange, rangeBetween, rangeEnd } from '../linux/memory-ranges.ts'
import { blocksOf } from '../stores/carve-out/carve-out-failures.ts'
import { BLOCK_BYTES, type PoolPlace } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize, parseAddress, parseSize } from '../values/size.ts'
import { PTE_BYTES } from '../values/units.ts'

const HOW = 'write ADDRESS+SIZE, as 0x140000000+4K or 5G+2M'

/**
 * `texts`: each one range, or several, separated by commas; one without a size is a page. Errors: UsageError.
 */
export const parseBadRanges = (texts: readonly string[]): PhysicalRange[] =>
  texts.flatMap((text) => text.split(',').map(parseRange))

function parseRange(text: string): PhysicalRange {
  const [address = '', size, ...more] = text.trim().split('+')
  if (!/^\d/.test(address) || more.length > 0) throw noRange(text)
  const lengthBytes = size === undefined ? PTE_BYTES : parseSize(size, '--bad')
  const start = parseAddress(address, '--bad')
  if (lengthBytes === 0 || !Number.isSafeInteger(start + lengthBytes)) throw noRange(text)
  return { start, lengthBytes }
}

const noRange = (text: string): UsageError => new UsageError(`--bad '${text}' is no range of memory: ${HOW}`)

export interface NamedPlace {
  readonly name: string
  readonly totalBlocks: number
  readonly place: PoolPlace | undefined
}

/**
 * Numbers of the blocks that have a byte of these ranges. Errors: UsageError where one is not in the region,
 * or where the image would have to lie on it: that is in the same place for all pools of the region.
 */
export function badBlocksIn(
  { name, totalBlocks, place }: NamedPlace,
  ranges: readonly PhysicalRange[],
): number[] {
  if (place === undefined || ranges.length === 0) return []
  const image = rangeBetween(place.start + totalBlocks * BLOCK_BYTES, rangeEnd(place))
  for (const range of ranges) {
    if (range.start < place.start || rangeEnd(range) > rangeEnd(place))
      throw new UsageError(
        `--bad ${inWords(range)} does not lie in region ${name}, which is ${inWords(place)}`,
      )
    if (overlap(range, image))
      throw new UsageError(
        `--bad ${inWords(range)} is where the image of every pool of region ${name} lies (${inWords(image)}): set other memory aside`,
      )
  }
  return blocksOf({ range: place, totalBlocks }, ranges)
}

const inWords = ({ start, lengthBytes }: PhysicalRange): string =>
  `0x${start.toString(16)}+${formatSize(lengthBytes)}`
