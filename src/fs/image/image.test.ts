import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { CorruptBytesError, UsageError } from '../../values/errors.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { Entry } from '../state/entry.ts'
import { ByteSink } from './byte-sink.ts'
import { encodeEntry } from './codec.ts'
import { probe, readHeader } from './header.ts'
import { Image } from './image.ts'
import { CHECKPOINT_PACE, geometryOf, HEADER_BYTES } from './image-format.ts'
import { recoverImage } from './recovery.ts'
import { randomFrom, testSeed } from './testing/random.ts'
import { EXPECTED, formatted, IDENTITY, openImage, SMALL_AREA_BYTES } from './testing/sample-image.ts'
import { BLOCKS, randomEntries, randomInode } from './testing/steps.ts'
import { TableState } from './testing/table-state.ts'

const ORIGIN = { unique: 0n, epoch: 0 }
const ino = (value: number): Ino => value as Ino
const name = (value: string): ByteString => value as ByteString

/** The header's checksum made right again, so that what was changed is judged for itself. */
function resealHeader(area: Uint8Array): void {
  const view = new DataView(area.buffer)
  view.setUint32(HEADER_BYTES - 4, crc32(area.subarray(8, HEADER_BYTES - 4)), true)
}

/** Asserts that opening refuses with `message` and leaves every byte as it is. */
function refuses(area: Uint8Array, message: RegExp, expected = EXPECTED): void {
  const before = area.slice()
  assert.throws(
    () => Image.open(area, expected, new TableState(BLOCKS)),
    (error: unknown) =>
      error instanceof CorruptBytesError && message.test(error.message) && !/\n/.test(error.message),
  )
  assert.deepEqual(area, before)
}

test('what is not our image is refused, unchanged, in one line', () => {
  refuses(new Uint8Array(SMALL_AREA_BYTES), /blank/)
  refuses(randomFrom(1).bytes(SMALL_AREA_BYTES), /does not hold a guestmemfs image/)
  refuses(new Uint8Array(8), /does not hold/)
  const newer = formatted()
  new DataView(newer.buffer).setUint32(8, 3, true)
  resealHeader(newer)
  refuses(newer, /format version 3, this guestmemfs reads 1 to 2/)
  refuses(formatted(), /belongs to a memfd store/, { storeKind: 'dax' })
  refuses(formatted(), /pool of 64 blocks, the store has 65/, { storeKind: 'memfd', totalBlocks: 65 })
  const area = formatted()
  const larger = new Uint8Array(area.length * 2)
  larger.set(area)
  refuses(larger, /made for a metadata area of 65536 bytes, this one has 131072/)
})

test('probe tells a blank area from an image and from anything else', () => {
  assert.equal(probe(new Uint8Array(SMALL_AREA_BYTES)), 'blank')
  assert.equal(probe(formatted()), 'image')
  assert.equal(probe(new Uint8Array(SMALL_AREA_BYTES).fill(3)), 'foreign')
})

test('an area too small for an image is refused with its limits', () => {
  assert.throws(() => Image.format(new Uint8Array(4096), IDENTITY, new TableState(BLOCKS)), UsageError)
})

test('identity, the last origin and the last entries come back', () => {
  const area = formatted()
  assert.equal(openImage(area).lastOrigin, undefined)
  const entries: Entry[] = [{ kind: 'inode-gone', ino: ino(4) }]
  openImage(area).commit({ unique: 2n ** 63n + 5n, epoch: 2 ** 40 }, entries)
  const image = openImage(area)
  assert.deepEqual(image.identity, IDENTITY)
  assert.deepEqual(image.lastOrigin, { unique: 2n ** 63n + 5n, epoch: 2 ** 40 })
  assert.deepEqual(image.lastEntries, entries)
})

test('own work leaves the last request known', () => {
  const area = formatted()
  const request = { unique: 12n, epoch: 3 }
  const own = { unique: 0n, epoch: 3 }
  const image = openImage(area)
  image.commit(own, [{ kind: 'inode-gone', ino: ino(4) }])
  assert.deepEqual(image.lastOrigin, own)
  image.commit(request, [{ kind: 'inode-gone', ino: ino(4) }])
  while (image.generation < 4) image.commit(own, [{ kind: 'inode-gone', ino: ino(5) }])
  assert.deepEqual(image.lastOrigin, request)
  assert.deepEqual(openImage(area).lastOrigin, request)
})

test('a damaged byte anywhere is refused, or changes nothing: never a silently different state', (t) => {
  const seed = testSeed()
  t.diagnostic(`SEED=${seed}`)
  const random = randomFrom(seed)
  const area = formatted()
  const image = openImage(area)
  const steps = 60 + random.below(200)
  for (let i = 0; i < steps; i++) {
    const entries = randomEntries(random)
    if (image.fits(entries)) image.commit(ORIGIN, entries)
  }
  const good = area.slice()
  const geometry = geometryOf(area.length)
  /** Of the entries in any order: another checkpoint may lead to the same state. */
  const digest = (): number => {
    readHeader(area)
    const sink = new ByteSink()
    let sum = 0
    for (const entry of recoverImage(area, geometry).fold.entries()) {
      sink.clear()
      encodeEntry(entry, sink)
      sum += crc32(sink.view())
    }
    return sum
  }
  const expected = digest()
  let refused = 0
  for (let offset = 0; offset < area.length; offset++) {
    // Zeros are mostly room nothing was written to yet: every fifth is enough.
    if (good[offset] === 0 && offset % 5 > 0) continue
    area[offset] = (good[offset] as number) ^ (1 + random.below(255))
    try {
      assert.equal(digest(), expected, `byte ${offset} changed the state in silence`)
    } catch (error) {
      assert.ok(error instanceof CorruptBytesError, String(error))
      refused++
    }
    area[offset] = good[offset] as number
  }
  assert.ok(refused > HEADER_BYTES / 5, `${refused} refusals`)
  assert.equal(openImage(area).state.snapshot(), image.state.snapshot())
})

test('bytes that a caller chose never become a record', () => {
  // A value that is a whole record of the next generation, at every alignment, all over the segments.
  const area = formatted()
  const image = openImage(area)
  const donor = formatted()
  const evil = openImage(donor)
  const geometry = geometryOf(area.length)
  evil.commit(ORIGIN, [{ kind: 'inode-gone', ino: ino(9999) }])
  const record = donor.slice(geometry.segmentOffsets[1] + 16, geometry.segmentOffsets[1] + 16 + 64)
  for (let i = 0; i < 400; i++) {
    const value = new Uint8Array(i % 8 ? 512 : 256)
    for (let at = i % 8; at + record.length <= value.length; at += record.length) value.set(record, at)
    const entries: Entry[] = [{ kind: 'xattr', ino: ino(2), name: name('user.evil'), value }]
    image.commit(ORIGIN, entries)
    const opened = openImage(area.slice())
    assert.deepEqual(opened.lastEntries, entries)
  }
  assert.ok(image.generation > 10)
})

test('a state that outgrows its slot, or a record its limit, does not fit; what makes room does', () => {
  const area = formatted()
  const image = openImage(area)
  const random = randomFrom(3)
  let files = 0
  for (; files < 10_000; files++) {
    const inode = { ...randomInode(random, ino(files + 2)), kind: 'file' as const }
    const entries: Entry[] = [
      { kind: 'inode', inode },
      { kind: 'name', parent: ino(1), name: name(`file ${files}`), ino: inode.ino, cookie: files + 3 },
    ]
    if (!image.fits(entries)) break
    image.commit(ORIGIN, entries)
  }
  assert.ok(files > 50 && files < 1000, `${files} files`)
  const value = new Uint8Array(geometryOf(area.length).recordLimitBytes)
  assert.equal(image.fits([{ kind: 'xattr', ino: ino(2), name: name('user.x'), value }]), false)
  // While it is full the test changes files in place, many times, so that the image writes checkpoints of a
  // full state.
  const generation = image.generation
  for (let i = 0; i < 2000; i++) {
    const entries: Entry[] = [{ kind: 'inode', inode: randomInode(random, ino(2 + random.below(files))) }]
    if (image.fits(entries)) image.commit(ORIGIN, entries)
  }
  assert.ok(image.generation > generation + 5)
  assert.equal(openImage(area.slice()).state.snapshot(), image.state.snapshot())
  for (let file = 0; file < files; file++) {
    const entries: Entry[] = [
      { kind: 'name-gone', parent: ino(1), name: name(`file ${file}`) },
      { kind: 'inode-gone', ino: ino(file + 2) },
      { kind: 'blocks', extent: { start: file % BLOCKS, count: 1 }, state: 'dirty' },
    ]
    assert.ok(image.fits(entries), `removing file ${file} of a full image`)
    image.commit(ORIGIN, entries)
  }
  assert.equal(openImage(area).state.snapshot(), image.state.snapshot())
})

test('an area of 4 MiB takes the largest xattr, one of 256 MiB an inode in very many pieces', () => {
  const value = new Uint8Array(65536).fill(1)
  const xattr: Entry = { kind: 'xattr', ino: ino(2), name: name('user.large'), value }
  const extents = Array.from({ length: 500_000 }, (_, index) => ({ start: 3 * index, count: 1 }))
  const scattered: Entry = { kind: 'inode', inode: { ...randomInode(randomFrom(2), ino(2)), extents } }
  for (const [areaBytes, entry] of [
    [4 * 1024 * 1024, xattr],
    [256 * 1024 * 1024, scattered],
  ] as const) {
    const area = formatted(areaBytes)
    const image = openImage(area)
    assert.ok(image.fits([entry]))
    image.commit(ORIGIN, [entry])
    assert.deepEqual(openImage(area).lastEntries, [entry])
  }
})

test('what one operation writes does not grow with the number of files', () => {
  const area = new Uint8Array(32 * 1024 * 1024)
  Image.format(area, IDENTITY, new TableState(BLOCKS))
  const written = { bytes: 0 }
  const image = openImage(area, (store) => {
    written.bytes += store.bytes.length
  })
  const random = randomFrom(11)
  const link = (file: number): Entry => {
    const inode = { ...randomInode(random, ino(file + 2)), target: name('x') }
    return {
      kind: 'inode',
      inode: { ...inode, kind: 'symlink', object: undefined, extents: [], guestRam: false },
    }
  }
  const create = (from: number, to: number): void => {
    for (let file = from; file < to; file++) {
      image.commit(ORIGIN, [
        link(file),
        { kind: 'name', parent: ino(1), name: name(`file ${file}`), ino: ino(file + 2), cookie: file + 3 },
      ])
    }
  }
  const change = (files: number, times: number): { most: number; mean: number; generations: number } => {
    const before = image.generation
    let most = 0
    let total = 0
    for (let i = 0; i < times; i++) {
      written.bytes = 0
      image.commit(ORIGIN, [link(random.below(files))])
      most = Math.max(most, written.bytes)
      total += written.bytes
    }
    return { most, mean: total / times, generations: image.generation - before }
  }
  create(0, 4000)
  const few = change(4000, 14_000)
  create(4000, 20_000)
  const many = change(20_000, 60_000)
  assert.ok(
    few.generations >= 2 && many.generations >= 2,
    `${few.generations}, ${many.generations} generations`,
  )
  const largestRecord = 160
  for (const { most } of [few, many]) {
    assert.ok(most <= (CHECKPOINT_PACE + 3) * largestRecord, `${most} bytes for one commit`)
  }
  assert.ok(
    many.mean <= 1.5 * few.mean,
    `${many.mean} bytes a commit among many files, ${few.mean} among few`,
  )
})
