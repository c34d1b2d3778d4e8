import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CorruptBytesError } from '../../values/errors.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { Entry } from '../state/entry.ts'
import { State } from '../state/state.ts'
import { fixtureOver, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { MemoryStore } from '../testing/memory-store.ts'
import { dumpImage } from './dump-image.ts'
import { checkImage } from './fsck-image.ts'
import { Image } from './image.ts'
import { packImage, unpackImage } from './packed-image.ts'
import { decodeProperty, encodeProperty, type Property } from './property.ts'
import { EXPECTED, formatted, IDENTITY, openImage, SMALL_AREA_BYTES } from './testing/sample-image.ts'

const ORIGIN = { unique: 5n, epoch: 1 }
const UNKNOWN = 1001
const REQUIRED = 1002

const entryOf = (ino: number, property: Property): Entry => ({
  kind: 'property',
  ino: ino as Ino,
  ...encodeProperty(property),
})

/** Distances and lengths, as ranges that ascend and do not touch. */
const ranges = fc
  .array(fc.tuple(fc.nat(2 ** 40), fc.integer({ min: 1, max: 2 ** 30 })), { maxLength: 40 })
  .map((steps) => {
    let end = -1
    return steps.map(([distance, length]) => {
      const offset = end + 1 + distance
      end = offset + length
      return { offset, length }
    })
  })
const property: fc.Arbitrary<Property> = fc.oneof(
  ranges.map((value) => ({ is: 'poisoned' as const, ranges: value })),
  fc.constant({ is: 'mark' as const, mark: 'consumed' as const }),
  fc
    .uniqueArray(fc.nat(1023))
    .map((nodes) => ({ is: 'nodes' as const, nodes: nodes.sort((one, other) => one - other) })),
)

test('properties come back as they went in', () => {
  fc.assert(
    fc.property(property, (each) => {
      const { number, value } = encodeProperty(each)
      assert.deepEqual(decodeProperty(number, value), each)
    }),
  )
})

test('bytes that no property has are refused; whatever they are, nothing else is thrown', () => {
  const bad: readonly [number, readonly number[]][] = [
    [1, [5]],
    [1, [5, 0]],
    [1, [0, 1, 0, 1]],
    [2, []],
    [2, [1]],
    [2, [0, 0]],
    [3, [4, 4]],
    [3, [4, 3]],
    [4, []],
    [4, [0]],
    [4, [1, 1]],
  ]
  for (const [number, bytes] of bad)
    assert.throws(
      () => decodeProperty(number, Uint8Array.from(bytes)),
      CorruptBytesError,
      `${number}: ${bytes}`,
    )
  fc.assert(
    fc.property(fc.nat(5), fc.uint8Array(), (number, value) => {
      try {
        decodeProperty(number, value)
      } catch (error) {
        assert.ok(error instanceof CorruptBytesError, String(error))
      }
    }),
  )
})

test('one that is not known is kept if it may be ignored, and refuses the image if not', () => {
  assert.equal(decodeProperty(UNKNOWN, Uint8Array.of(1, 2)), undefined)
  const area = formatted()
  const image = openImage(area)
  const kept: Entry = { kind: 'property', ino: 3 as Ino, number: UNKNOWN, value: Uint8Array.of(9, 8, 7) }
  image.commit(ORIGIN, [kept])
  // Through as many checkpoints as it takes to have them all rewritten.
  while (image.generation < 5) image.commit(ORIGIN, [{ kind: 'inode-gone', ino: 4 as Ino }])
  const again = openImage(area)
  assert.deepEqual([...again.state.entries()], [kept])

  again.commit(ORIGIN, [{ kind: 'property', ino: 3 as Ino, number: REQUIRED, value: Uint8Array.of(1) }])
  const before = area.slice()
  const says =
    /^the image has property 1002, which this guestmemfs does not implement .* use the release that wrote it$/
  assert.throws(
    () => openImage(area),
    (error: unknown) => error instanceof CorruptBytesError && says.test(error.message),
  )
  assert.deepEqual(area, before)
  assert.match(String(checkImage(area, new State(), () => undefined)[0]?.message), says)
})

test('properties last as long as their inode, through checkpoints, a handover and recovery', () => {
  const area = new Uint8Array(SMALL_AREA_BYTES)
  Image.format(area, IDENTITY, State.fresh({ seconds: 0, nanoseconds: 0 }))
  const open = () => Image.open(area, EXPECTED, new State())
  const store = new MemoryStore({ clearing: 'kernel', totalBlocks: 64 })
  const { fs, journal, rq, file } = fixtureOver(open(), store)
  const state = file('state', 5)
  const ram = file('ram', 2 ** 21)
  const { ino: folder } = ok(fs.mkdir(rq(), nameAt(ROOT, 'folder'), 0o755))
  const entries = [
    entryOf(state, { is: 'mark', mark: 'consumed' }),
    entryOf(ram, { is: 'poisoned', ranges: [{ offset: 4096, length: 4096 }] }),
    entryOf(folder, { is: 'nodes', nodes: [1] }),
    { kind: 'property', ino: folder, number: UNKNOWN, value: Uint8Array.of(7) } as const,
  ]
  journal.commit(ORIGIN, entries)
  const properties = (of: State) => [...of.entries()].filter(({ kind }) => kind === 'property')
  while (journal.generation < 5) ok(fs.setAttributes(rq(), ROOT, { mode: 0o755 }))
  assert.deepEqual(properties(open().state), entries)
  assert.deepEqual(open().state.verify(64), [])
  const unpacked = new Uint8Array(SMALL_AREA_BYTES)
  unpackImage(packImage(IDENTITY, journal.state, journal.version), EXPECTED, new State(), unpacked)
  assert.deepEqual(properties(Image.open(unpacked, EXPECTED, new State()).state), entries)
  const dumped = dumpImage(area).entries.filter(({ kind }) => kind === 'property')
  assert.deepEqual(
    dumped.map((entry) => 'value' in entry && entry.value),
    [
      { is: 'mark', mark: 'consumed' },
      { is: 'poisoned', ranges: [{ offset: 4096, length: 4096 }] },
      { is: 'nodes', nodes: [1] },
      false,
    ],
  )

  assert.equal(fs.rmdir(rq(), nameAt(ROOT, 'folder')), undefined)
  assert.equal(fs.evict(rq(), folder), 'gone')
  assert.deepEqual(properties(open().state), entries.slice(0, 2))
  assert.deepEqual(properties(journal.state), entries.slice(0, 2))
})

test('a property where it has no meaning is found', () => {
  const area = new Uint8Array(SMALL_AREA_BYTES)
  Image.format(area, IDENTITY, State.fresh({ seconds: 0, nanoseconds: 0 }))
  const image = Image.open(area, EXPECTED, new State())
  image.commit(ORIGIN, [entryOf(1, { is: 'mark', mark: 'consumed' }), entryOf(9, { is: 'nodes', nodes: [] })])
  assert.deepEqual(image.state.verify(64), [
    'property 2 (mark) of inode 1, which is a directory',
    'properties of inode 9, which does not exist',
  ])
})

test('the room for the state counts properties, and gets it back', () => {
  const area = formatted()
  const image = openImage(area)
  const fill = (ino: number): Entry[] => [
    { kind: 'property', ino: ino as Ino, number: UNKNOWN, value: new Uint8Array(200) },
  ]
  let made = 0
  for (; image.fits(fill(made + 2)); made++) image.commit(ORIGIN, fill(made + 2))
  assert.ok(made > 10 && made < 200, `${made}`)
  for (let ino = 2; ino < made + 2; ino++)
    image.commit(ORIGIN, [
      ino % 2 === 0
        ? { kind: 'inode-gone', ino: ino as Ino }
        : { kind: 'property-gone', ino: ino as Ino, number: UNKNOWN },
    ])
  assert.ok(
    image.fits([{ kind: 'xattr', ino: 2 as Ino, name: 'user.x' as ByteString, value: new Uint8Array(900) }]),
  )
  assert.deepEqual([...openImage(area).state.entries()], [])
})
