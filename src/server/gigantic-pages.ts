/** Owns the question whether a pool can have the pages that a mount asks for, and telling its root so. */
import { readFileSync } from 'node:fs'
import type { FileSystem, Request } from '../fs/file-system.ts'
import { ALIGN } from '../fs/space/alignment.ts'
import type { Region } from '../stores/driver.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { ROOT_INO } from '../values/ids.ts'
import { formatSize } from '../values/size.ts'

/** Errors: UsageError, one line that says what forbids it. */
export const checkAlignment = (
  { frames, totalBlocks, place }: Pick<Region, 'frames' | 'totalBlocks' | 'place'>,
  alignBytes: number,
  cpuinfo = readFileSync('/proc/cpuinfo', 'latin1'),
): void => {
  if (alignBytes === BLOCK_BYTES) return
  const page = formatSize(alignBytes)
  if (!/^flags\s*:.*\bpdpe1gb\b/m.test(cpuinfo))
    throw new UsageError(`this processor has no pages of ${page} (pdpe1gb): mount it without align=`)
  if (frames !== undefined && frames.first + frames.blocks <= totalBlocks) return
  const { startByte, sizeBytes } = place ?? { startByte: 0, sizeBytes: totalBlocks * BLOCK_BYTES }
  throw new UsageError(
    `no aligned page of ${page} fits into the pool, which begins at 0x${startByte.toString(16)} and has ${formatSize(sizeBytes)}: mount it without align=, or set more memory aside, at a multiple of ${page}`,
  )
}

/** It stays said, also for the next kernel. The pool is not frozen. */
export const storeAlignment = (fs: FileSystem, rq: Request, alignBytes: number): void => {
  const text = String(alignBytes)
  const said = fs.getXattr(ROOT_INO, ALIGN)
  if (said instanceof Uint8Array ? Buffer.from(said).toString('latin1') === text : alignBytes === BLOCK_BYTES)
    return
  fs.setXattr(rq, ROOT_INO, ALIGN, Buffer.from(text), 0)
}
