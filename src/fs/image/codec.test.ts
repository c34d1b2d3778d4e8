import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CorruptBytesError } from '../../values/errors.ts'
import type { ByteString, Ino, ObjectId } from '../../values/ids.ts'
import type { Entry } from '../state/entry.ts'
import { ByteCounter, ByteSink } from './byte-sink.ts'
import { ByteSource } from './byte-source.ts'
import { decodeEntry, encodeEntry } from './codec.ts'

/** Plain objects, as the decoder makes them. */
const row = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(fields, { noNullPrototype: true })

const count = fc.maxSafeNat()
const ino = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map((value) => value as Ino)
const name = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1') as ByteString)
const extent = row({ start: count, count: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) })
const time = row({ seconds: fc.maxSafeInteger(), nanoseconds: fc.nat(999_999_999) })
const inode = row({
  ino,
  generation: count,
  kind: fc.constantFrom('directory' as const, 'file' as const, 'symlink' as const),
  rdev: fc.constant(0),
  mode: fc.nat(0o7777),
  uid: count,
  gid: count,
  links: count,
  sizeBytes: count,
  atime: time,
  mtime: time,
  ctime: time,
  object: fc.option(
    count.map((value) => value as ObjectId),
    { nil: undefined },
  ),
  extents: fc.array(extent),
  guestRam: fc.boolean(),
  gigantic: fc.boolean(),
  target: name(4096),
})
const special = fc
  .tuple(
    inode,
    fc.constantFrom(...(['fifo', 'socket', 'character-device', 'block-device'] as const)),
    fc.nat(0xffff_ffff),
  )
  .map(([fields, kind, rdev]) => ({ ...fields, kind, rdev }))
/** A property that a reader without knowledge of it keeps. */
const unknown = fc.integer({ min: 50, max: 2 ** 40 }).map((half) => 2 * half + 1)
const entry: fc.Arbitrary<Entry> = fc.oneof(
  row({ kind: fc.constant('inode' as const), inode }),
  row({ kind: fc.constant('inode' as const), inode: special }),
  row({ kind: fc.constant('property' as const), ino, number: unknown, value: fc.uint8Array() }),
  row({ kind: fc.constant('property-gone' as const), ino, number: count }),
  row({ kind: fc.constant('inode-gone' as const), ino }),
  row({ kind: fc.constant('name' as const), parent: ino, name: name(255), ino, cookie: count }),
  row({ kind: fc.constant('name-gone' as const), parent: ino, name: name(255) }),
  row({ kind: fc.constant('xattr' as const), ino, name: name(255), value: fc.uint8Array() }),
  row({ kind: fc.constant('xattr-gone' as const), ino, name: name(255) }),
  row({
    kind: fc.constant('blocks' as const),
    extent,
    state: fc.constantFrom('clean' as const, 'dirty' as const, 'bad' as const),
  }),
  row({
    kind: fc.constant('pool' as const),
    frozen: fc.boolean(),
    nextGeneration: count,
    nextCookie: count,
  }),
)

function encode(entries: readonly Entry[]): Uint8Array {
  const sink = new ByteSink()
  for (const each of entries) encodeEntry(each, sink)
  return new Uint8Array(sink.view())
}

function decode(bytes: Uint8Array): Entry[] {
  const source = new ByteSource(bytes)
  const entries: Entry[] = []
  while (!source.exhausted) entries.push(decodeEntry(source))
  return entries
}

test('entries come back as they went in, one after the other', () => {
  fc.assert(fc.property(fc.array(entry), (entries) => assert.deepEqual(decode(encode(entries)), entries)))
})

test('bytes that are only counted are as many as bytes that are encoded', () => {
  fc.assert(
    fc.property(entry, (each) => {
      const counter = new ByteCounter()
      encodeEntry(each, counter)
      assert.equal(counter.length, encode([each]).length)
    }),
  )
})

test('the largest xattr and an inode in many pieces come back', () => {
  const value = new Uint8Array(65536).fill(7)
  const big: Entry[] = [{ kind: 'xattr', ino: 9 as Ino, name: 'user.big' as ByteString, value }]
  assert.deepEqual(decode(encode(big)), big)
  const pieces = Array.from({ length: 100_000 }, (_, index) => ({ start: 2 * index, count: 1 }))
  const [sample] = fc.sample(inode, 1)
  const scattered: Entry[] = [
    { kind: 'inode', inode: { ...(sample as NonNullable<typeof sample>), extents: pieces } },
  ]
  assert.deepEqual(decode(encode(scattered)), scattered)
})

test('cut short, an entry is refused', () => {
  fc.assert(
    fc.property(entry, fc.nat(), (each, cut) => {
      const bytes = encode([each])
      assert.throws(
        () => decodeEntry(new ByteSource(bytes.subarray(0, cut % bytes.length))),
        CorruptBytesError,
      )
    }),
  )
})

test('any bytes are entries or are refused, and nothing is read outside', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decode(bytes)
      } catch (error) {
        assert.ok(error instanceof CorruptBytesError, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})
