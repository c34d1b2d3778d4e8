/**
 * What a carve-out's store learns of memory that fails: from the kernel's log, by physical address, and from
 * its own accesses. Must not: decide which blocks are bad.
 */
import { MemoryFailureLog } from '../../linux/memory-failure-log.ts'
import { overlap, type PhysicalRange, rangeEnd } from '../../linux/memory-ranges.ts'
import { Errno } from '../../values/errno.ts'
import type { Fd } from '../../values/ids.ts'
import { PTE_BYTES } from '../../values/units.ts'
import type { LoggedBlocks, MemoryFailures } from '../memory-failures.ts'
import { BLOCK_BYTES } from '../store.ts'
import type { DataChunks } from './data-chunks.ts'
import type { RegionLayout } from './layout.ts'

/** The kernel's log, or what stands for it in a test. */
export type FailureLog = Pick<MemoryFailureLog, 'fd' | 'read'>

export class CarveOutFailures implements MemoryFailures {
  readonly #layout: RegionLayout
  readonly #chunks: Pick<DataChunks, 'takeSuspected'>
  readonly #log: FailureLog | Errno

  constructor(
    layout: RegionLayout,
    chunks: Pick<DataChunks, 'takeSuspected'>,
    log: FailureLog | Errno = MemoryFailureLog.open(),
  ) {
    this.#layout = layout
    this.#chunks = chunks
    this.#log = log
  }

  get fd(): Fd | undefined {
    return this.#log instanceof Errno ? undefined : this.#log.fd
  }

  get unreadable(): Errno | undefined {
    return this.#log instanceof Errno ? this.#log : undefined
  }

  logged(): LoggedBlocks {
    if (this.#log instanceof Errno) return { blocks: [], image: [], gaps: 0, isMore: false }
    const { pages, ...rest } = this.#log.read()
    const { metadata } = this.#layout
    const failed = pages.map((start): PhysicalRange => ({ start, lengthBytes: PTE_BYTES }))
    return {
      blocks: blocksOf(this.#layout, failed),
      image: [...new Set(pages)].filter((start) => overlap(metadata, { start, lengthBytes: PTE_BYTES })),
      ...rest,
    }
  }

  suspected(): readonly number[] {
    return this.#chunks.takeSuspected()
  }
}

/** Numbers of the blocks that have a byte of these ranges, ascending, none twice. */
export function blocksOf(
  { range: { start }, totalBlocks }: Pick<RegionLayout, 'range' | 'totalBlocks'>,
  ranges: readonly PhysicalRange[],
): number[] {
  const blocks = new Set<number>()
  for (const range of ranges) {
    const first = Math.max(0, Math.floor((range.start - start) / BLOCK_BYTES))
    const end = Math.min(totalBlocks, Math.ceil((rangeEnd(range) - start) / BLOCK_BYTES))
    for (let block = first; block < end; block++) blocks.add(block)
  }
  return [...blocks].toSorted((one, other) => one - other)
}
