/**
 * The formatting of a region, which makes it an empty pool before its first mount. What was in it is lost, so
 * the caller must have asked for it. What is known of its memory is not: blocks that a former pool recorded
 * as bad stay bad, with those that the kernel has logged and that the operator names.
 */
import { formerBadBlocks } from '../fs/image/format-over.ts'
import type { PhysicalRange } from '../linux/memory-ranges.ts'
import { checkPoolName } from '../run/check-names.ts'
import { lockRegion } from '../run/region-lock.ts'
import { formatPool } from '../server/open-file-system.ts'
import { examineRegion } from '../server/open-store.ts'
import { checkSeesHolders } from '../stores/carve-out/sees-holders.ts'
import type { MemoryFailures } from '../stores/memory-failures.ts'
import { findRegion, type RegionChoice } from '../stores/registry.ts'
import type { Extent, Store } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { badBlocksIn } from './bad-ranges.ts'

export interface FormatRequest extends RegionChoice {
  readonly pool: string
  /** Also when the region holds a pool, or other data. */
  readonly force: boolean
  /** Memory that is known to be bad. */
  readonly bad?: readonly PhysicalRange[]
  /** What a former pool recorded as bad is good again: its image is not read. */
  readonly forgetsBad?: boolean
}

export interface Formatted {
  readonly pool: string
  readonly region: string
  readonly totalBlocks: number
  /** How many of them are bad. */
  readonly badBlocks: number
  /** There was an image that cannot be read: what it recorded as bad is not known any more. */
  readonly hasLostRecord: boolean
}

/** Errors: UsageError, with nothing changed. */
export function formatRegion({
  pool,
  force,
  bad = [],
  forgetsBad = false,
  ...choice
}: FormatRequest): Formatted {
  checkPoolName(pool)
  checkSeesHolders(choice.kind)
  lockRegion(findRegion(choice))
  const { region, content } = examineRegion(choice)
  if (content.content !== 'zero' && !force) {
    const what = content.content === 'ours' ? 'it holds a pool' : content.why
    throw new UsageError(`region ${region.name}: ${what}; to overwrite that, say --force`)
  }
  const named = badBlocksIn(region, bad)
  const store = region.open(pool)
  const former = forgetsBad ? 'none' : formerBad(store)
  const blocks = new Set([
    ...named,
    ...(typeof former === 'string' ? [] : former.flatMap(numbersOf)),
    ...loggedFailures(store.memoryFailures),
  ])
  const { totalBlocks } = store.descriptor
  if (blocks.size === totalBlocks)
    throw new UsageError(
      `all memory of region ${region.name} is bad: set other memory aside${forgetsBad ? '' : ', or say --forget-bad where it was replaced'}`,
    )
  formatPool(
    store,
    pool,
    [...blocks].map((start) => ({ start, count: 1 })),
    { reads: !forgetsBad },
  )
  return {
    pool,
    region: region.name,
    totalBlocks,
    badBlocks: blocks.size,
    hasLostRecord: former === 'unreadable',
  }
}

const formerBad = (store: Store): ReturnType<typeof formerBadBlocks> =>
  formerBadBlocks(store.metadataArea(), store.descriptor.totalBlocks)

/** All that the kernel has logged since its start, as far as its log still has it. */
function loggedFailures(failures: MemoryFailures | undefined): readonly number[] {
  const blocks: number[] = []
  for (let looks = 0; failures !== undefined && looks < MOST_LOOKS; looks++) {
    const logged = failures.logged()
    blocks.push(...logged.blocks)
    if (!logged.isMore) break
  }
  return blocks
}

/** After so many looks the command goes on, also where the kernel logs faster than this process reads. */
const MOST_LOOKS = 64

const numbersOf = ({ start, count }: Extent): number[] => Array.from({ length: count }, (_, at) => start + at)
