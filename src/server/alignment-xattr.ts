/**
 * The root's alignment xattr, as a mount's `align=` sets it, and the check whether the pool can have such
 * pages.
 */
import { readFileSync } from 'node:fs'
import type { Caller, FileSystem } from '../fs/file-system.ts'
import { ALIGN } from '../fs/space/alignment.ts'
import type { Region } from '../stores/driver.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { ROOT_INO } from '../values/ids.ts'
import { formatSize } from '../values/size.ts'

/** Throws UsageError: one line with the reason. */
export function checkAlignment(
  { frames, totalBlocks, place }: Pick<Region, 'frames' | 'totalBlocks' | 'place'>,
  alignBytes: number,
  cpuinfo = readFileSync('/proc/cpuinfo', 'latin1'),
): void {
  if (alignBytes === BLOCK_BYTES) return
  const page = formatSize(alignBytes)
  if (!/^flags\s*:.*\bpdpe1gb\b/m.test(cpuinfo))
    throw new UsageError(`this processor has no pages of ${page} (pdpe1gb): mount it without align=`)
  if (frames !== undefined && frames.first + frames.blocks <= totalBlocks) return
  const { start, lengthBytes } = place ?? { start: 0, lengthBytes: totalBlocks * BLOCK_BYTES }
  throw new UsageError(
    `no aligned page of ${page} fits into the pool, which begins at 0x${start.toString(16)} and has ${formatSize(lengthBytes)}: mount it without align=, or set more memory aside, at a multiple of ${page}`,
  )
}

/**
 * Stores the value, which outlives the kernel; nothing is written where it is stored already. The pool must
 * not be frozen.
 */
export function storeAlignment(fs: FileSystem, rq: Caller, alignBytes: number): void {
  const text = String(alignBytes)
  const stored = fs.getXattr(ROOT_INO, ALIGN)
  const isStored =
    stored instanceof Uint8Array
      ? Buffer.from(stored).toString('latin1') === text
      : alignBytes === BLOCK_BYTES
  if (isStored) return
  fs.setXattr(rq, ROOT_INO, ALIGN, Buffer.from(text), 0)
}
