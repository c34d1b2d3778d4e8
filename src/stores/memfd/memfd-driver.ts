/**
 * The registry's row of the `memfd` store: ordinary memory that keeper and server hold, opened with the
 * keeper's descriptors.
 */
import { PMD_BYTES } from '../../values/units.ts'
import type { StoreDriver } from '../driver.ts'

export const MEMFD: StoreDriver = {
  carveOut: false,
  survivesKexec: 'handover',
  largestPageBytes: PMD_BYTES,
  chunkBlocks: undefined,
  find: undefined,
}
