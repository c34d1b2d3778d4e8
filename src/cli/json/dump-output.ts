/**
 * What `dump` prints: an image in readable form. Its names are those of docs/internals/image-format.md;
 * extents are in blocks.
 */
import * as v from 'valibot'

export const ExtentSchema = v.object({ start: v.number(), count: v.number() })
export const TimestampSchema = v.object({ seconds: v.number(), nanoseconds: v.number() })
const KINDS = ['directory', 'file', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'] as const

const InodeSchema = v.object({
  ino: v.number(),
  generation: v.number(),
  kind: v.picklist(KINDS),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  links: v.number(),
  sizeBytes: v.number(),
  atime: TimestampSchema,
  mtime: TimestampSchema,
  ctime: TimestampSchema,
  extents: v.array(ExtentSchema),
  guestRam: v.boolean(),
  gigantic: v.boolean(),
  rdev: v.exactOptional(v.number()),
  memory: v.optional(v.pipe(v.number(), v.description('Of a file: the number of its memory object.'))),
  target: v.string(),
})

const PropertySchema = v.union([
  v.object({
    is: v.literal('poisoned'),
    ranges: v.array(v.object({ offset: v.number(), length: v.number() })),
  }),
  v.object({ is: v.literal('mark'), mark: v.string() }),
  v.object({ is: v.literal('nodes'), nodes: v.array(v.number()) }),
  v.object({ is: v.literal('size'), totalBlocks: v.number() }),
])

const NAME = { parent: v.number(), name: v.string() }
const OF_INODE = { ino: v.number() }

export const EntrySchema = v.union([
  v.object({ kind: v.literal('inode'), inode: InodeSchema }),
  v.object({ kind: v.literal('inode-gone'), ...OF_INODE }),
  v.object({ kind: v.literal('name'), ...NAME, ...OF_INODE, cookie: v.number() }),
  v.object({ kind: v.literal('name-gone'), ...NAME }),
  v.object({ kind: v.literal('xattr'), ...OF_INODE, name: v.string(), valueBase64: v.string() }),
  v.object({ kind: v.literal('xattr-gone'), ...OF_INODE, name: v.string() }),
  v.object({
    kind: v.literal('property'),
    ...OF_INODE,
    number: v.number(),
    valueBase64: v.string(),
    value: v.exactOptional(PropertySchema),
  }),
  v.object({ kind: v.literal('property-gone'), ...OF_INODE, number: v.number() }),
  v.object({ kind: v.literal('blocks'), extent: ExtentSchema, state: v.picklist(['clean', 'dirty', 'bad']) }),
  v.object({
    kind: v.literal('pool'),
    frozen: v.boolean(),
    nextGeneration: v.number(),
    nextCookie: v.number(),
  }),
])

export const DumpOutput = v.object({
  header: v.object({
    version: v.number(),
    poolName: v.string(),
    storeKind: v.string(),
    totalBlocks: v.number(),
    blockBytes: v.number(),
    uuid: v.string(),
  }),
  geometry: v.object({
    areaBytes: v.number(),
    slotBytes: v.number(),
    slotOffsets: v.array(v.number()),
    segmentBytes: v.number(),
    segmentOffsets: v.array(v.number()),
    recordLimitBytes: v.number(),
    stateLimitBytes: v.number(),
  }),
  checkpointGeneration: v.number(),
  activeGeneration: v.number(),
  summary: v.object({
    inodes: v.pipe(v.record(v.string(), v.number()), v.description('How many of each kind.')),
    names: v.number(),
    xattrs: v.number(),
    ownedBlocks: v.number(),
    dirtyBlocks: v.number(),
    badBlocks: v.number(),
    frozen: v.boolean(),
  }),
  records: v.pipe(
    v.array(
      v.object({
        sequence: v.number(),
        generation: v.number(),
        unique: v.pipe(v.string(), v.description('Decimal: it has 64 bits.')),
        epoch: v.number(),
        entries: v.array(EntrySchema),
      }),
    ),
    v.description('Since the checkpoint, oldest first.'),
  ),
  entries: v.pipe(v.array(EntrySchema), v.description('The fold of checkpoint and records.')),
})
