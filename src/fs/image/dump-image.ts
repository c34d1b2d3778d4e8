/**
 * An image in readable form: all it holds, as plain values that `JSON.stringify` takes. Reading only. Sizes
 * are bytes, names are text (UTF-8 where they are), other bytes are base64.
 */
import { BLOCK_BYTES } from '../../stores/store.ts'
import { type ByteString, printable } from '../../values/ids.ts'
import type { Entry } from '../state/entry.ts'
import { type FileKind, type Inode, isSpecial } from '../state/inode.ts'
import { readHeader } from './header.ts'
import type { Geometry } from './image-format.ts'
import { decodeProperty, type Property } from './property.ts'
import type { LogRecord } from './record.ts'
import { recoverImage } from './recovery.ts'

export interface ImageDump {
  readonly header: {
    readonly version: number
    readonly poolName: string
    readonly storeKind: string
    readonly totalBlocks: number
    readonly blockBytes: number
    readonly uuid: string
  }
  readonly geometry: Geometry
  /** The checkpoint recovery starts from, and the segment that is appended to. */
  readonly checkpointGeneration: number
  readonly activeGeneration: number
  readonly summary: Summary
  /** Since the checkpoint, oldest first. */
  readonly records: readonly PlainRecord[]
  /** The fold of checkpoint and records. */
  readonly entries: readonly PlainEntry[]
}

export interface Summary {
  /** Kinds of special files of which there are none are left out. */
  readonly inodes: Readonly<
    Record<'directory' | 'file' | 'symlink', number> & Partial<Record<FileKind, number>>
  >
  readonly names: number
  readonly xattrs: number
  readonly ownedBlocks: number
  readonly dirtyBlocks: number
  readonly badBlocks: number
  readonly frozen: boolean
}

/** `unique` is a decimal string: it has 64 bits. */
export interface PlainRecord {
  readonly sequence: number
  readonly generation: number
  readonly unique: string
  readonly epoch: number
  readonly entries: readonly PlainEntry[]
}

/** The spelling is older than the names here: `memory` is the object's id. `rdev` is of special files. */
type PlainInode = Omit<Inode, 'object' | 'target' | 'rdev'> & {
  readonly memory: Inode['object']
  readonly target: string
  readonly rdev?: number
}
export type PlainEntry =
  | Exclude<Entry, { kind: 'inode' | 'xattr' | 'property' }>
  | { readonly kind: 'inode'; readonly inode: PlainInode }
  | { readonly kind: 'xattr'; readonly ino: number; readonly name: string; readonly valueBase64: string }
  /** `value` is what the bytes mean, where this version can decode them. */
  | {
      readonly kind: 'property'
      readonly ino: number
      readonly number: number
      readonly valueBase64: string
      readonly value?: Property
    }

/** Everything in the image of `area`. Throws `CorruptBytesError` if it cannot be read. */
export function dumpImage(area: Uint8Array): ImageDump {
  const { identity, geometry, version } = readHeader(area)
  const found = recoverImage(area, geometry)
  const entries = [...found.fold.entries()]
  return {
    header: {
      version,
      poolName: identity.poolName,
      storeKind: identity.storeKind,
      totalBlocks: identity.totalBlocks,
      blockBytes: BLOCK_BYTES,
      uuid: Buffer.from(identity.uuid).toString('hex'),
    },
    geometry,
    checkpointGeneration: found.checkpointGeneration,
    activeGeneration: found.activeGeneration,
    summary: summarise(entries),
    records: found.records.map(plainRecord),
    entries: entries.map(plainEntry),
  }
}

function summarise(entries: readonly Entry[]): Summary {
  const inodes: { -readonly [Kind in keyof Summary['inodes']]: Summary['inodes'][Kind] } = {
    directory: 0,
    file: 0,
    symlink: 0,
  }
  const sums = { names: 0, xattrs: 0, ownedBlocks: 0, dirtyBlocks: 0, badBlocks: 0, frozen: false }
  for (const entry of entries) {
    if (entry.kind === 'inode') {
      inodes[entry.inode.kind] = (inodes[entry.inode.kind] ?? 0) + 1
      for (const extent of entry.inode.extents) sums.ownedBlocks += extent.count
    } else if (entry.kind === 'name') sums.names++
    else if (entry.kind === 'xattr') sums.xattrs++
    else if (entry.kind === 'pool') sums.frozen = entry.frozen
    else if (entry.kind === 'blocks') {
      if (entry.state === 'dirty') sums.dirtyBlocks += entry.extent.count
      if (entry.state === 'bad') sums.badBlocks += entry.extent.count
    }
  }
  return { inodes, ...sums }
}

const plainRecord = ({ sequence, generation, origin, entries }: LogRecord): PlainRecord => ({
  sequence,
  generation,
  unique: origin.unique.toString(),
  epoch: origin.epoch,
  entries: entries.map(plainEntry),
})

function plainEntry(entry: Entry): PlainEntry {
  switch (entry.kind) {
    case 'inode': {
      const { object: memory, target, rdev, ...inode } = entry.inode
      const device = isSpecial(inode.kind) ? { rdev } : {}
      return { kind: 'inode', inode: { ...inode, ...device, memory, target: printable(target) } }
    }
    case 'property': {
      const { value, ...key } = entry
      const meant = decodeProperty(key.number, value)
      const valueBase64 = Buffer.from(value).toString('base64')
      return { ...key, valueBase64, ...(meant && { value: meant }) }
    }
    case 'xattr': {
      const valueBase64 = Buffer.from(entry.value).toString('base64')
      return { kind: 'xattr', ino: entry.ino, name: printable(entry.name), valueBase64 }
    }
    case 'name':
    case 'name-gone':
    case 'xattr-gone':
      return { ...entry, name: printable(entry.name) as ByteString }
    default:
      return entry
  }
}
