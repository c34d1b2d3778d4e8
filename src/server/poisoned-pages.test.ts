/**
 * Whichever page of an image is poisoned, the next server finds all that was acknowledged, or refuses the
 * image.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dumpImage } from '../fs/image/dump-image.ts'
import { Image } from '../fs/image/image.ts'
import { randomFrom, testSeed } from '../fs/image/testing/random.ts'
import type { Entry } from '../fs/state/entry.ts'
import { State } from '../fs/state/state.ts'
import { n, ROOT } from '../fs/testing/fixture.ts'
import { close } from '../linux/descriptors.ts'
import { mapShared, memfdCreate, readAt, resize, writeAllAt } from '../linux/memory.ts'
import { CorruptBytesError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { copyWithoutPages, findPoisonedPages, punchPages } from './poisoned-pages.ts'

const AREA_BYTES = 2 * 2 ** 20
const PAGE = 4096
const IDENTITY = { poolName: 'pool', storeKind: 'memfd', totalBlocks: 16, uuid: new Uint8Array(16).fill(7) }

function memfdOf(bytes: Uint8Array): Fd {
  const fd = memfdCreate('image', { sealable: false })
  resize(fd, bytes.length)
  writeAllAt(fd, 0, bytes)
  return fd
}

/** Some generations of it, `records` records: names that come, and values that change. */
function imageOf(records: number): { area: Uint8Array; entries: string[] } {
  const area = new Uint8Array(AREA_BYTES)
  Image.format(area, IDENTITY, State.fresh({ seconds: 0, nanoseconds: 0 }))
  const image = Image.open(area, IDENTITY, new State())
  for (let unique = 1n; unique <= records; unique++) {
    const name = n(`user.${unique % 40n}`)
    const entry: Entry = { kind: 'xattr', ino: ROOT, name, value: Buffer.alloc(1500, Number(unique % 251n)) }
    image.commit({ unique, epoch: 1 }, [entry])
  }
  return { area, entries: entriesOf(openCopy(area)) }
}

/** As the next server reads it; opening may mend the end of a log. */
const openCopy = (area: Uint8Array): Image<State> => Image.open(Uint8Array.from(area), IDENTITY, new State())

const entriesOf = (image: Image<State>): string[] =>
  [...image.state.entries()].map((entry) => JSON.stringify(entry)).sort()

/** What an image holds whose page at `page` is poisoned, or that it is refused. */
function withoutPage(area: Uint8Array, page: number, noise: Uint8Array): string[] | 'refused' {
  const damaged = Uint8Array.from(area)
  damaged.set(noise, page)
  const fd = memfdOf(damaged)
  try {
    punchPages(fd, AREA_BYTES, [page])
    const mended = Buffer.alloc(AREA_BYTES)
    readAt(fd, 0, mended)
    return entriesOf(openCopy(mended))
  } catch (error) {
    if (!(error instanceof CorruptBytesError)) throw error
    return 'refused'
  } finally {
    close(fd)
  }
}

/** So many that a checkpoint is under way: the log is in both segments, and all of it counts. */
function whileCheckpointing(): number {
  for (let records = 150; records < 1000; records++) {
    const { activeGeneration, checkpointGeneration } = dumpImage(imageOf(records).area)
    if (activeGeneration > checkpointGeneration) return records + 2
  }
  throw new Error('no checkpoint was ever under way')
}

const seed = testSeed()
for (const records of [3, 150, whileCheckpointing(), 700])
  test(`${records} records, any page poisoned: all of it, or a refusal (seed ${seed})`, () => {
    const random = randomFrom(seed)
    const { area, entries } = imageOf(records)
    const outcomes = { whole: 0, refused: 0 }
    for (let page = 0; page < AREA_BYTES; page += PAGE) {
      const found = withoutPage(area, page, random.bytes(PAGE))
      if (found === 'refused') outcomes.refused++
      else {
        assert.deepEqual(found, entries, `page ${page / PAGE}`)
        outcomes.whole++
      }
    }
    // Pages that hold nothing, or an older checkpoint, can be done without.
    assert.ok(outcomes.whole > outcomes.refused, JSON.stringify(outcomes))
    assert.ok(outcomes.refused > 0, JSON.stringify(outcomes))
  })

test('a poisoned checkpoint is replaced by the one before it, as long as its log is there', () => {
  const noise = new Uint8Array(PAGE).fill(0xee)
  // The second page of the checkpoint of generation 2, which is in the first slot.
  const page = 2 * PAGE
  for (let records = 150; ; records += 10) {
    assert.ok(records < 1000, 'no second checkpoint was complete')
    const { area, entries } = imageOf(records)
    if (openCopy(area).generation !== 2) continue
    const damaged = Uint8Array.from(area)
    damaged.set(noise, page)
    try {
      openCopy(damaged)
      continue // It is not complete yet, and no server reads it.
    } catch (error) {
      assert.ok(error instanceof CorruptBytesError)
    }
    assert.deepEqual(withoutPage(area, page, noise), entries)
    return
  }
})

test('a page beyond the end counts as poisoned, one that can be read does not, and punched ones are holes', () => {
  const { area, entries } = imageOf(3)
  const fd = memfdOf(area)
  assert.deepEqual(findPoisonedPages(fd, AREA_BYTES), [])
  resize(fd, AREA_BYTES - 2 * PAGE)
  const poisoned = findPoisonedPages(fd, AREA_BYTES)
  assert.deepEqual(poisoned, [AREA_BYTES - 2 * PAGE, AREA_BYTES - PAGE])
  punchPages(fd, AREA_BYTES, poisoned)
  assert.deepEqual(findPoisonedPages(fd, AREA_BYTES), [])
  assert.deepEqual(entriesOf(Image.open(mapShared(fd, AREA_BYTES), IDENTITY, new State())), entries)
  close(fd)
})

test('a server that must not change the image sees it as it will be', () => {
  const { area } = imageOf(150)
  const [seen, mended] = [Buffer.alloc(AREA_BYTES), Buffer.alloc(AREA_BYTES)]
  for (const page of [PAGE, 2 * PAGE, AREA_BYTES / 2, AREA_BYTES - PAGE]) {
    const fd = memfdOf(area)
    const copy = copyWithoutPages(fd, AREA_BYTES, [page])
    readAt(copy, 0, seen)
    readAt(fd, 0, mended)
    assert.ok(mended.equals(area), 'the image is as it was')
    punchPages(fd, AREA_BYTES, [page])
    readAt(fd, 0, mended)
    assert.ok(seen.equals(mended), `page ${page / PAGE}`)
    close(copy)
    close(fd)
  }
  const header = memfdOf(area)
  assert.throws(() => copyWithoutPages(header, AREA_BYTES, [0]), CorruptBytesError)
  close(header)
})
