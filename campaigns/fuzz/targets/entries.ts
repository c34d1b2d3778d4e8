/**
 * The entries of an image, behind its checksums: this decodes input bytes as entries as far as possible,
 * seals them into an image as a checkpoint and as log records, and reads that image. Over one in which fsck
 * finds no error, a file system must do one of each operation without an exception.
 */
import assert from 'node:assert/strict'
import { ByteSink } from '../../../src/fs/image/byte-sink.ts'
import { ByteSource } from '../../../src/fs/image/byte-source.ts'
import { decodeEntry, encodeEntry } from '../../../src/fs/image/codec.ts'
import { checkImage } from '../../../src/fs/image/fsck-image.ts'
import { Image } from '../../../src/fs/image/image.ts'
import type { ImageState } from '../../../src/fs/image/image-state.ts'
import type { Entry } from '../../../src/fs/state/entry.ts'
import { State } from '../../../src/fs/state/state.ts'
import { checkInvariants, fixtureOver, nameAt, ROOT } from '../../../src/fs/testing/fixture.ts'
import { MemoryStore } from '../../../src/fs/testing/memory-store.ts'
import { chunkBlocksOf } from '../../../src/stores/registry.ts'
import { CorruptBytesError } from '../../../src/values/errors.ts'
import { Refusal } from '../../../src/values/refusal.ts'
import { orRefused, type Target } from '../target.ts'
import { readImage, sampleState } from './image.ts'

const AREA_BYTES = 64 * 1024
const TOTAL_BLOCKS = 16
const IDENTITY = {
  poolName: 'pool',
  storeKind: 'memfd',
  totalBlocks: TOTAL_BLOCKS,
  uuid: new Uint8Array(16).fill(7),
}
/** The memory objects of the store. */
const OBJECTS = 8
/** Entries that are read: more do not fit the area. */
const MOST_ENTRIES = 200

export const entries: Target = {
  isJson: false,
  dictionary: [
    ...[...sampleState().entries()].map(encoded),
    'user.x',
    Buffer.from('ffffffffffffff0f', 'hex'),
  ],
  seeds: () => {
    const all = [...sampleState().entries()].map(encoded)
    return [255, 0, 3].flatMap((stated) => [
      Buffer.concat([Buffer.from([stated]), ...all]),
      Buffer.concat([Buffer.from([stated]), ...all, ...all.toReversed()]),
    ])
  },
  run(input) {
    const decoded = decodeAll(input.subarray(1))
    // The first byte says how many are in the checkpoint; what follows is logged, three a record.
    const stated = decoded.slice(0, input[0])
    const area = new Uint8Array(AREA_BYTES)
    Image.format(area, IDENTITY, plain(stated))
    const image = orRefused(() => Image.open(area, IDENTITY, new State()), CorruptBytesError)
    if (image !== undefined)
      for (let at = stated.length, unique = 1n; at < decoded.length; at += 3, unique++) {
        const record = decoded.slice(at, at + 3)
        if (image.fits(record)) image.commit({ unique, epoch: 1 }, record)
      }
    readImage(area)
    const findings = checkImage(area, new State(), chunkBlocksOf)
    if (!findings.some(({ severity }) => severity === 'error')) serve(area)
  },
}

function encoded(entry: Entry): Uint8Array {
  const sink = new ByteSink()
  encodeEntry(entry, sink)
  return Uint8Array.from(sink.view())
}

/** Until the bytes are no entry. */
function decodeAll(bytes: Uint8Array): Entry[] {
  const from = new ByteSource(bytes)
  const all: Entry[] = []
  while (!from.exhausted && all.length < MOST_ENTRIES) {
    const entry = orRefused(() => decodeEntry(from), CorruptBytesError)
    if (entry === undefined) break
    all.push(entry)
  }
  return all
}

const plain = (stated: readonly Entry[]): ImageState => ({
  apply: () => {},
  entries: () => stated.values() as IterableIterator<Entry>,
})

/** An image without findings of fsck must not end a server. */
function serve(area: Uint8Array): void {
  const image = Image.open(area, IDENTITY, new State())
  const store = new MemoryStore({ clearing: 'kernel', totalBlocks: TOTAL_BLOCKS })
  const objects = new Set(Array.from({ length: OBJECTS }, () => store.create()))
  // A missing memory object is refused earlier, before a server gets requests.
  const named = [...image.state.inodes.values()].flatMap(({ object }) => object ?? [])
  if (named.some((object) => !objects.has(object))) return
  const { fs, rq } = fixtureOver(image, store)
  fs.thaw(rq())
  fs.recover(rq())
  for (const inode of [...image.state.inodes.values()]) {
    fs.setAttributes(rq(), inode.ino, { mode: 0o600 })
    fs.listXattrs(inode.ino)
    const listed = fs.readDirectory(inode.ino, 0)
    if (!(listed instanceof Refusal)) for (const { name } of listed) fs.lookup(inode.ino, name)
  }
  fs.create(rq(), nameAt(ROOT, 'new'), 0o644)
  fs.mkdir(rq(), nameAt(ROOT, 'newer'), 0o755)
  fs.unlink(rq(), nameAt(ROOT, 'new'))
  fs.statfs()
  checkInvariants(fs, image)
  assert.ok(image.state.inodes.size > 0)
}
