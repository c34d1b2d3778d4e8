/** The registry's row of the `tmpfs` store: a region is a folder of a tmpfs. */
import { openSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { mapReadOnly } from '../../../linux/private-map.ts'
import { UsageError } from '../../../values/errors.ts'
import type { Fd } from '../../../values/ids.ts'
import { PMD_BYTES, PTE_BYTES } from '../../../values/units.ts'
import type { Content, ImageProbe, Region, StoreDriver } from '../../driver.ts'
import { BLOCK_BYTES } from '../../store.ts'
import { METADATA_BYTES, metadataPath, TmpfsStore } from './tmpfs-store.ts'

/** TMPFS_MAGIC (include/uapi/linux/magic.h). */
const TMPFS_MAGIC = 0x01021994

/** Where no machine has memory: of the folder's own number. */
const BEYOND_MEMORY = 2 ** 52

export const TMPFS: StoreDriver = {
  carveOut: false,
  survivesKexec: 'no',
  largestPageBytes: PMD_BYTES,
  chunkBlocks: undefined,
  find,
}

function find(folder: string | null): Region {
  if (folder === null) throw new UsageError('say which folder of a tmpfs with region=')
  const { type, bsize, blocks } = statfsSync(folder)
  if (type !== TMPFS_MAGIC) throw new UsageError(`${folder} is no folder of a tmpfs`)
  const { dev, ino } = statSync(folder)
  const totalBlocks = Math.floor((blocks * bsize - METADATA_BYTES) / BLOCK_BYTES)
  return {
    name: folder,
    lockName: `tmpfs-${dev}-${ino}`,
    lockRange: { start: BEYOND_MEMORY + (dev % 2 ** 16) * 2 ** 32 + ino, lengthBytes: 1 },
    totalBlocks,
    frames: undefined,
    place: undefined,
    probe: (probe) => look(folder, probe),
    open: () => new TmpfsStore(folder, totalBlocks),
    readMetadata: () => mapReadOnly(openSync(metadataPath(folder), 'r') as Fd, METADATA_BYTES),
  }
}

function look(folder: string, probe: ImageProbe): Content {
  const stat = statSync(metadataPath(folder), { throwIfNoEntry: false })
  if (stat === undefined) return { content: 'zero' }
  const found = probe(readFileSync(metadataPath(folder)).subarray(0, PTE_BYTES))
  if (found === 'foreign') return { content: 'foreign', why: `${metadataPath(folder)} is no image` }
  return { content: found === 'blank' ? 'zero' : 'ours' }
}
