/** What commands print of pools with --json. */
import * as v from 'valibot'
import { HOW } from '../../pool/mount-pool.ts'
import { PoolSummarySchema } from '../../pool/pool-summary.ts'
import { RamFileSchema } from '../../pool/ram-files.ts'
import { UNMOUNTED } from '../../pool/unmount-pool.ts'
import { FindingSchema } from './finding-output.ts'
import { ReportsSchema } from './update-output.ts'

/** The pool, wherever a command has done something with one that is mounted. */
const MOUNT = { pool: v.string(), mountPoint: v.string() }

export const MountOutput = v.object({
  ...MOUNT,
  sizeBytes: v.number(),
  how: v.picklist([...HOW, 'remounted']),
  reports: v.pipe(
    v.nullable(ReportsSchema.entries.reports),
    v.description('With --resume, as `resume` prints it; else null.'),
  ),
})

const NAMED = v.pipe(v.string(), v.description('The pool, mount point or file, as it was typed.'))

export const UmountOutput = v.object({ named: NAMED, result: v.picklist(UNMOUNTED) })

export const ListOutput = v.object({
  pools: v.array(
    v.object({
      ...PoolSummarySchema.entries,
      badBytes: v.pipe(
        v.nullable(v.number()),
        v.description('Memory of it that has failed, in files or not; null: no server says so now.'),
      ),
      ram: v.array(
        v.object({
          ...RamFileSchema.entries,
          badBytes: v.pipe(v.number(), v.description('What of it is on memory that has failed.')),
        }),
      ),
    }),
  ),
})

export const FrozenOutput = v.object({
  ...MOUNT,
  frozen: v.boolean(),
  changed: v.pipe(v.boolean(), v.description('false: it was so already.')),
})

export const HandoverOutput = v.object({
  ...MOUNT,
  frozen: v.boolean(),
  preserved: v.pipe(v.number(), v.description('How many files, the image among them.')),
})

export const FormatOutput = v.object({
  pool: v.string(),
  region: v.string(),
  sizeBytes: v.number(),
  badBytes: v.pipe(v.number(), v.description('What of it goes to no file, as its memory is bad.')),
  hasLostRecord: v.pipe(
    v.boolean(),
    v.description('There was an image that cannot be read: what it recorded as bad is not known any more.'),
  ),
})

export const UpgradeOutput = v.object({
  ...MOUNT,
  image: v.pipe(
    v.object({ before: v.number(), after: v.number() }),
    v.description('The version of the format of its image.'),
  ),
})

export const FsckOutput = v.object({ named: NAMED, findings: v.array(FindingSchema) })
