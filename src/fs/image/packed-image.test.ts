import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CorruptBytesError } from '../../values/errors.ts'
import type { Entry } from '../state/entry.ts'
import { State } from '../state/state.ts'
import { blocks, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { ByteSink } from './byte-sink.ts'
import { encodeEntry } from './codec.ts'
import { checkImage } from './fsck-image.ts'
import { Image } from './image.ts'
import { packImage, unpackImage } from './packed-image.ts'

const EXPECTED = { storeKind: 'memfd', totalBlocks: 16 } as const
const AREA_BYTES = 1024 * 1024

/** As the image writes them: the order of keys, and of entries, says nothing. */
function entriesOf(state: State): string[] {
  return [...state.entries()].map(encoded).sort()
}

function encoded(entry: Entry): string {
  const sink = new ByteSink()
  encodeEntry(entry, sink)
  return Buffer.from(sink.view()).toString('hex')
}

function packed() {
  const { fs, rq, file, journal } = fixture()
  file('ram', blocks(3))
  const plain = file('plain', 100)
  ok(fs.mkdir(rq(), nameAt(ROOT, 'dir'), 0o755))
  fs.setXattr(rq(), plain, n('user.a'), Buffer.from('value'), 0)
  fs.freeze(rq())
  return {
    state: journal.state,
    identity: journal.identity,
    bytes: packImage(journal.identity, journal.state, journal.version),
  }
}

test('what is packed is what is unpacked, with the identity it had, and it is no larger than it must be', () => {
  const { state, identity, bytes } = packed()
  assert.ok(bytes.length <= 128 * 1024, `${bytes.length}`)
  const area = new Uint8Array(AREA_BYTES)
  unpackImage(bytes, EXPECTED, new State(), area)
  const image = Image.open(area, EXPECTED, new State())
  assert.deepEqual(image.identity, identity)
  assert.deepEqual(entriesOf(image.state), entriesOf(state))
  assert.deepEqual(
    checkImage(area, new State(), () => undefined),
    [],
  )
})

test('a state of any size fits the area that is made for it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 2000 }), (files, valueBytes) => {
      const { fs, rq, file, journal } = fixture()
      for (let index = 0; index < files; index++) file(`file-${index}`)
      fs.setXattr(rq(), ROOT, n('user.large'), new Uint8Array(valueBytes).fill(7), 0)
      const bytes = packImage(journal.identity, journal.state, journal.version)
      const area = new Uint8Array(AREA_BYTES)
      unpackImage(bytes, EXPECTED, new State(), area)
      assert.deepEqual(entriesOf(Image.open(area, EXPECTED, new State()).state), entriesOf(journal.state))
    }),
    { numRuns: 30 },
  )
})

test('a packed image that was changed is refused, and the area is as it was', () => {
  const { bytes } = packed()
  const used = bytes.findLastIndex((byte) => byte !== 0)
  fc.assert(
    fc.property(fc.nat(used), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = bytes.slice()
      damaged[at] = (damaged[at] as number) ^ change
      const area = new Uint8Array(AREA_BYTES)
      try {
        unpackImage(damaged, EXPECTED, new State(), area)
      } catch (error) {
        assert.ok(error instanceof CorruptBytesError, `${error}`)
        assert.ok(area.every((byte) => byte === 0))
        return
      }
      // `unpackImage` does not depend on this byte: then the area holds the whole state.
      assert.deepEqual(entriesOf(Image.open(area, EXPECTED, new State()).state), entriesOf(packed().state))
    }),
    { numRuns: 300 },
  )
  for (const expected of [{ storeKind: 'dax' }, { storeKind: 'memfd', totalBlocks: 17 }])
    assert.throws(
      () => unpackImage(bytes, expected, new State(), new Uint8Array(AREA_BYTES)),
      CorruptBytesError,
    )
})
