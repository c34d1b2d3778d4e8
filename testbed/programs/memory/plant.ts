/**
 * Makes a carve-out look as if it had another size when its pool was made: `plant.ts OFFSET` writes the first
 * page of an image at OFFSET of the region, `plant.ts OFFSET away` zeroes it again.
 */
import { Image } from '../../../src/fs/image/image.ts'
import { State } from '../../../src/fs/state/state.ts'
import { changeBytes } from './bytes.ts'

const [offset = '', away] = process.argv.slice(2)
const PAGE_BYTES = 4096
const area = new Uint8Array(8 * 2 ** 20)
const now = { seconds: 0, nanoseconds: 0 }
const identity = {
  poolName: 'guestmemfs',
  storeKind: 'dax',
  totalBlocks: 100,
  uuid: new Uint8Array(16),
} as const
if (away === undefined) Image.format(area, identity, State.fresh(now, { dirtyBlocks: 0 }))
changeBytes(
  ({ range }) => range.start + Number(offset),
  PAGE_BYTES,
  () => area.subarray(0, PAGE_BYTES),
)
