/**
 * All that a mounted pool tells of itself: the values of its root directory (`guestmemfs.xattr(7)`), as its
 * server spells them. Must not: read an image, or ask a process other than the server.
 */
import * as v from 'valibot'
import type { DeepReadonly } from '../values/deep-readonly.ts'
import { BadMemorySchema } from './pool-bad-memory.ts'
import { HANDOVER_VIEW, type PoolMount, readVirtual, readVirtualList } from './pool-view.ts'

const RANGE = { startByte: v.number(), sizeBytes: v.number() }

const Identity = v.object({
  name: v.string(),
  uuid: v.string(),
  store: v.string(),
  generation: v.number(),
  frozen: v.boolean(),
  place: v.exactOptional(
    v.pipe(
      v.object({
        ...RANGE,
        nodes: v.exactOptional(v.array(v.object({ node: v.number(), ...RANGE }))),
      }),
      v.description('Of a pool in a region.'),
    ),
  ),
})

const Geometry = v.object({
  blockBytes: v.number(),
  totalBytes: v.number(),
  totalBlocks: v.number(),
  ownedBlocks: v.number(),
  cleanBlocks: v.number(),
  dirtyBlocks: v.number(),
  badBlocks: v.number(),
  freeForGuestRamBlocks: v.number(),
  freeForOrdinaryBlocks: v.number(),
  frameBlocks: v.exactOptional(v.number()),
  wholeFrames: v.exactOptional(v.number()),
})

const Health = v.object({
  badBlocks: v.pipe(v.number(), v.description('That no file has.')),
  badBlocksInFiles: v.exactOptional(v.pipe(v.number(), v.description('That files have; missing: none.'))),
  dirtyBlocks: v.number(),
  orphans: v.number(),
  orphanBlocks: v.number(),
  awaitedFiles: v.number(),
  lostFiles: v.number(),
  storedFiles: v.exactOptional(v.number()),
  unstoredFiles: v.exactOptional(v.number()),
  mostStoredFiles: v.exactOptional(v.number()),
  refusedByFormat: v.exactOptional(v.number()),
})

const Server = v.object({
  pid: v.number(),
  keeperPid: v.number(),
  restarts: v.number(),
  startedAt: v.pipe(v.string(), v.description('ISO 8601.')),
  askedAtMs: v.number(),
})

const Handover = v.object({
  step: v.string(),
  state: v.string(),
  memories: v.number(),
  preserved: v.number(),
  failure: v.nullable(v.object({ errno: v.string(), path: v.exactOptional(v.string()) })),
  holeBytes: v.number(),
})

const Orphan = v.object({
  ino: v.number(),
  kind: v.string(),
  sizeBytes: v.number(),
  guestRam: v.boolean(),
  blocks: v.number(),
  heldBy: v.exactOptional(
    v.object({ pid: v.number(), program: v.string(), isUnreadable: v.exactOptional(v.boolean()) }),
  ),
})

const FOR_ROOT = 'null: it is shown to root alone.'

export const PoolStatusSchema = v.object({
  pool: v.string(),
  mountPoint: v.string(),
  identity: v.pipe(Identity, v.description('`guestmemfs.pool`.')),
  geometry: Geometry,
  health: Health,
  server: Server,
  handover: v.pipe(
    v.nullable(Handover),
    v.description('null: the memory of this pool outlives a kernel by itself, or the caller is not root.'),
  ),
  orphans: v.pipe(v.nullable(v.array(Orphan)), v.description(FOR_ROOT)),
  vms: v.pipe(
    v.nullable(v.array(v.object({ path: v.string(), ino: v.number(), name: v.exactOptional(v.string()) }))),
    v.description(FOR_ROOT),
  ),
  bad: v.pipe(
    v.nullable(v.array(BadMemorySchema)),
    v.description(`\`guestmemfs.bad\`, memory that has failed. ${FOR_ROOT}`),
  ),
})
export type PoolStatus = DeepReadonly<v.InferOutput<typeof PoolStatusSchema>>

/**
 * Nothing is checked here: a server of another version may have other keys. Errors: UsageError, of which
 * DeadMount.
 */
export function readPoolStatus(mount: PoolMount): PoolStatus {
  const value = <Name extends keyof PoolStatus>(xattr: string): PoolStatus[Name] =>
    readVirtual(mount.mountPoint, xattr) as PoolStatus[Name]
  // Values that name files, in whatever directories, can be read by root alone.
  const isRoot = process.getuid?.() === 0
  const list = <Name extends 'orphans' | 'vms' | 'bad'>(name: Name): PoolStatus[Name] =>
    isRoot ? (readVirtualList(mount.mountPoint, name) as unknown as PoolStatus[Name]) : null
  return {
    pool: mount.pool,
    mountPoint: mount.mountPoint,
    identity: value<'identity'>('pool'),
    geometry: value<'geometry'>('geometry'),
    health: value<'health'>('health'),
    server: value<'server'>('server'),
    handover: (isRoot && value<'handover'>(HANDOVER_VIEW)) || null,
    orphans: list('orphans'),
    vms: list('vms'),
    bad: list('bad'),
  }
}
