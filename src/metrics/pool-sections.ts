/** The virtual xattrs of a mount that metrics are made of, as its server answers them. */
import * as v from 'valibot'
import { readVirtual } from '../pool/pool-view.ts'
import { UsageError } from '../values/errors.ts'

const PoolSectionsSchema = v.object({
  pool: v.object({ uuid: v.string(), store: v.string(), frozen: v.boolean() }),
  geometry: v.object({
    blockBytes: v.number(),
    ownedBlocks: v.number(),
    cleanBlocks: v.number(),
    dirtyBlocks: v.number(),
    badBlocks: v.number(),
  }),
  health: v.object({
    orphans: v.number(),
    orphanBlocks: v.number(),
    awaitedFiles: v.number(),
    lostFiles: v.number(),
    /** Where the service manager holds copies of descriptors. */
    unstoredFiles: v.optional(v.number()),
  }),
  server: v.object({ startedAt: v.string(), restarts: v.number() }),
})
export type PoolSections = v.InferOutput<typeof PoolSectionsSchema>

/**
 * Asks the server: the caller knows that one is there. Errors (UsageError): also, it answers in a way that
 * this version cannot read.
 */
export function readPoolSections(mountPoint: string): PoolSections {
  const names = Object.keys(PoolSectionsSchema.entries)
  const read = parsePoolSections(
    Object.fromEntries(names.map((name) => [name, readVirtual(mountPoint, name)])),
  )
  if (read !== undefined) return read
  throw new UsageError(`${mountPoint} describes its pool in a way that this version cannot read`)
}

/** `sections`: each xattr's value by its name. undefined: they are not as this version reads them. */
export function parsePoolSections(sections: unknown): PoolSections | undefined {
  const read = v.safeParse(PoolSectionsSchema, sections)
  return read.success ? read.output : undefined
}
