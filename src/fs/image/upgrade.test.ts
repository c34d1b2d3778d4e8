/**
 * The upgrade from version 1: a crash at each store, and at each byte of one, leaves an image that opens with
 * the state it had; version 1's code reads it as before or refuses it; and no mistake in it passes unnoticed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { BrokenInvariantError, CorruptBytesError } from '../../values/errors.ts'
import type { Ino } from '../../values/ids.ts'
import type { Entry } from '../state/entry.ts'
import { checkImage } from './fsck-image.ts'
import { readHeader, readIdentity } from './header.ts'
import { type FormatVersion, HEADER_BYTES } from './image-format.ts'
import { packImage, unpackImage } from './packed-image.ts'
import { encodeProperty } from './property.ts'
import { type Random, randomFrom, testSeed } from './testing/random.ts'
import { EXPECTED, formatted, IDENTITY, openImage, replay, SMALL_AREA_BYTES } from './testing/sample-image.ts'
import { BLOCKS, randomEntries } from './testing/steps.ts'
import { TableState } from './testing/table-state.ts'
import type { TracedStore } from './writer.ts'

const ORIGIN = { unique: 5n, epoch: 1 }
const MARK: Entry = {
  kind: 'property',
  ino: 7 as Ino,
  ...encodeProperty({ is: 'mark', mark: 'consumed' }),
}

class Verifiable extends TableState {
  verify(): string[] {
    return []
  }
}

const findings = (area: Uint8Array): string[] =>
  checkImage(area, new Verifiable(BLOCKS), () => undefined).map(
    ({ severity, subject, message }) => `${severity} ${subject}: ${message}`,
  )

/** What the code of version 1 makes of a header: it looks at the checksum first. */
function versionOne(area: Uint8Array): 'reads it' | 'fails its checksum' | 'of another version' {
  const view = new DataView(area.buffer, area.byteOffset, HEADER_BYTES)
  if (view.getUint32(HEADER_BYTES - 4, true) !== crc32(area.subarray(8, HEADER_BYTES - 4)))
    return 'fails its checksum'
  return view.getUint32(8, true) === 1 ? 'reads it' : 'of another version'
}

/** An image of version 1 with a history, a checkpoint under way. */
function former(random: Random, commits = 40): Uint8Array {
  const area = formatted(SMALL_AREA_BYTES, 1)
  const image = openImage(area)
  for (let done = 0; done < commits; ) {
    const entries = randomEntries(random, 1)
    if (!image.fits(entries)) continue
    image.commit(ORIGIN, entries)
    done++
  }
  return area
}

function storesOfUpgrade(area: Uint8Array): TracedStore[] {
  const stores: TracedStore[] = []
  const image = openImage(area.slice(), (store) => stores.push(store))
  stores.length = 0
  image.upgrade()
  return stores
}

test('crashed at each byte of each store of the upgrade, the image opens, and goes on', (t) => {
  const seed = testSeed()
  t.diagnostic(`SEED=${seed}`)
  const base = former(randomFrom(seed), 10 + (seed % 90))
  const { snapshot } = { snapshot: openImage(base.slice()).state.snapshot() }
  const stores = storesOfUpgrade(base)
  assert.equal(stores.length, 2)
  const seen: { version: FormatVersion; former: string; half: boolean }[] = []
  const judge = (area: Uint8Array): void => {
    const { version, isHalfUpgraded } = readHeader(area)
    seen.push({ version, former: versionOne(area), half: isHalfUpgraded })
    assert.deepEqual(readIdentity(area), IDENTITY)
    assert.deepEqual(
      findings(area).filter((line) => !line.startsWith('ok')),
      [],
    )
    const image = openImage(area)
    assert.deepEqual([image.version, image.state.snapshot()], [version, snapshot])
    assert.deepEqual(readHeader(area).isHalfUpgraded, false, 'opening completes it')
    image.upgrade()
    image.commit(ORIGIN, [MARK])
    const again = openImage(area)
    assert.deepEqual([again.version, again.lastEntries], [2, [MARK]])
    assert.equal(versionOne(area), 'of another version')
  }
  const area = base.slice()
  judge(area.slice())
  for (const store of stores)
    for (let bytes = 1; bytes <= store.bytes.length; bytes++) {
      replay(area, store, bytes)
      judge(area.slice())
    }
  // From the first changed byte on it is of version 2, and version 1's code never reads it again.
  assert.deepEqual(seen.at(0), { version: 1, former: 'reads it', half: false })
  assert.deepEqual(seen.at(1), { version: 2, former: 'fails its checksum', half: true })
  assert.deepEqual(seen.at(-1), { version: 2, former: 'of another version', half: false })
  assert.ok(seen.slice(1).every(({ version, former }) => version === 2 && former !== 'reads it'))
})

test('a crash while opening completes an upgrade loses nothing', () => {
  const base = former(randomFrom(3))
  const snapshot = openImage(base.slice()).state.snapshot()
  const [first] = storesOfUpgrade(base)
  assert.ok(first)
  const half = base.slice()
  replay(half, first)
  assert.match(findings(half).join('\n'), /ok header: its upgrade to version 2 is under way/)
  const mends: TracedStore[] = []
  openImage(half.slice(), (store) => mends.push(store))
  assert.ok(mends.length >= 2)
  for (const mend of mends) {
    replay(half, mend)
    assert.equal(openImage(half.slice()).state.snapshot(), snapshot)
  }
  assert.equal(readHeader(half).isHalfUpgraded, false)
})

test('stores of the upgrade in the other order, or one left out, would be noticed', () => {
  const base = former(randomFrom(4))
  const [version, checksum] = storesOfUpgrade(base)
  assert.ok(version && checksum)
  const swapped = base.slice()
  replay(swapped, checksum)
  assert.throws(() => openImage(swapped), /fails its checksum/)
  const unfinished = base.slice()
  replay(unfinished, version)
  assert.equal(readHeader(unfinished).isHalfUpgraded, true)
})

test('every damaged byte of an upgraded header is noticed, or changes nothing', () => {
  const area = former(randomFrom(5))
  openImage(area).upgrade()
  let refused = 0
  for (let at = 0; at < HEADER_BYTES; at++)
    for (const change of [1, 3, 0x80]) {
      const damaged = area.slice()
      damaged[at] = (damaged[at] as number) ^ change
      try {
        assert.deepEqual(readHeader(damaged).identity, IDENTITY)
        assert.equal(readHeader(damaged).version, 2)
      } catch (error) {
        assert.ok(error instanceof CorruptBytesError, String(error))
        refused++
      }
    }
  assert.equal(refused, 3 * HEADER_BYTES)
})

test('version 1 never gets an entry that it cannot hold, and an upgrade is done once', () => {
  const area = formatted(SMALL_AREA_BYTES, 1)
  const stores: TracedStore[] = []
  const image = openImage(area, (store) => stores.push(store))
  assert.equal(image.version, 1)
  stores.length = 0
  for (const entry of [MARK, { kind: 'property-gone', ino: 7 as Ino, number: 2 } as const])
    assert.throws(() => image.fits([entry]), BrokenInvariantError)
  assert.throws(() => image.commit(ORIGIN, [MARK]), BrokenInvariantError)
  assert.deepEqual(stores, [])
  image.upgrade()
  assert.equal(stores.length, 2)
  image.upgrade()
  assert.equal(stores.length, 2)
  assert.ok(image.fits([MARK]))
})

test('an image is handed over in the version that it has', () => {
  for (const version of [1, 2] as const) {
    const image = openImage(formatted(SMALL_AREA_BYTES, version))
    image.commit(ORIGIN, version === 2 ? [MARK] : [{ kind: 'inode-gone', ino: 4 as Ino }])
    const packed = packImage(IDENTITY, image.state, image.version)
    assert.equal(readHeader(packed).version, version)
    const area = new Uint8Array(SMALL_AREA_BYTES)
    unpackImage(packed, EXPECTED, new Verifiable(BLOCKS), area)
    assert.equal(openImage(area).version, version)
    assert.equal(openImage(area).state.snapshot(), image.state.snapshot())
  }
})

test('the identity of an image of a later version is read; the image is not', () => {
  const area = former(randomFrom(5)).slice()
  const header = Buffer.from(area.buffer, area.byteOffset, HEADER_BYTES)
  header.writeUInt32LE(3, 8)
  header.writeUInt32LE(crc32(header.subarray(8, HEADER_BYTES - 4)), HEADER_BYTES - 4)
  assert.deepEqual(readIdentity(area), IDENTITY)
  assert.throws(() => readHeader(area), /has format version 3, this guestmemfs reads 1 to 2/)
})
