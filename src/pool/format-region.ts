/**
 * The formatting of a region, which makes it an empty pool before its first mount. What was in it is lost, so
 * the caller must have asked for it.
 */

import { checkPoolName } from '../run/check-names.ts'
import { lockRegion } from '../run/region-lock.ts'
import { formatPool } from '../server/open-file-system.ts'
import { examineRegion } from '../server/open-store.ts'
import { checkSeesHolders } from '../stores/carve-out/sees-holders.ts'
import { findRegion, type RegionChoice } from '../stores/registry.ts'
import { UsageError } from '../values/errors.ts'

export interface FormatRequest extends RegionChoice {
  readonly pool: string
  /** Also when the region holds a pool, or other data. */
  readonly force: boolean
}

export interface Formatted {
  readonly pool: string
  readonly region: string
  readonly totalBlocks: number
}

/** Errors: UsageError, with nothing changed. */
export function formatRegion({ pool, force, ...choice }: FormatRequest): Formatted {
  checkPoolName(pool)
  checkSeesHolders(choice.kind)
  lockRegion(findRegion(choice))
  const { region, content } = examineRegion(choice)
  if (content.content !== 'zero' && !force) {
    const what = content.content === 'ours' ? 'it holds a pool' : content.why
    throw new UsageError(`region ${region.name}: ${what}; to overwrite that, say --force`)
  }
  const store = region.open(pool)
  formatPool(store, pool)
  return { pool, region: region.name, totalBlocks: store.descriptor.totalBlocks }
}
