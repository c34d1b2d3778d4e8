/**
 * The image of a new pool over that of another one: wherever a crash comes, the former image is whole, or
 * what the new one states is known.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { State } from '../state/state.ts'
import { formatOver, formerBadBlocks } from './format-over.ts'
import { checkImage } from './fsck-image.ts'
import { probe, readHeader } from './header.ts'
import { Image } from './image.ts'
import { geometryOf } from './image-format.ts'
import { recoverImage } from './recovery.ts'
import { randomFrom, testSeed } from './testing/random.ts'
import { EXPECTED, formatted, IDENTITY, openImage, replay, SMALL_AREA_BYTES } from './testing/sample-image.ts'
import { BLOCKS, randomEntries } from './testing/steps.ts'
import type { TracedStore } from './writer.ts'

const OTHER = { ...IDENTITY, poolName: 'another', uuid: new Uint8Array(16).fill(9) }
const BAD = [
  { start: 3, count: 2 },
  { start: 9, count: 1 },
]
const fresh = () => State.fresh({ seconds: 7, nanoseconds: 0 }, { dirtyBlocks: BLOCKS, bad: BAD })
const open = (area: Uint8Array) => Image.open(area.slice(), EXPECTED, new State())
const entriesOf = (state: State) => [...state.entries()]

/** Images of each phase of the log: checkpoints complete, under way, and begun anew. */
function* formerImages(seed: number): IterableIterator<Uint8Array> {
  const random = randomFrom(seed)
  const area = formatted()
  const image = openImage(area)
  const phases = new Map<boolean, number>()
  for (let records = 1; records < 4000; records++) {
    const entries = randomEntries(random)
    if (!image.fits(entries)) continue
    image.commit({ unique: BigInt(records), epoch: 1 }, entries)
    const { activeGeneration, checkpointGeneration } = recoverImage(area, geometryOf(area.length))
    const isUnderWay = activeGeneration > checkpointGeneration
    const seen = phases.get(isUnderWay) ?? 0
    if (seen >= 4 || (records > 1 && random.below(3) > 0)) continue
    phases.set(isUnderWay, seen + 1)
    yield area.slice()
  }
  assert.deepEqual([phases.get(true), phases.get(false)], [4, 4], 'both phases were met')
}

const seed = testSeed()
test(`crashed at each store of the formatting, or in it: nothing that is known of the memory is lost (seed ${seed})`, (t) => {
  let [crashes, former] = [0, 0]
  for (const before of formerImages(seed)) {
    const known = formerBadBlocks(before, BLOCKS)
    const snapshot = openImage(before.slice()).state.snapshot()
    const stores: TracedStore[] = []
    assert.equal(
      formatOver(before.slice(), OTHER, fresh(), (store) => stores.push(store)),
      true,
    )
    const area = before.slice()
    for (const store of stores) {
      for (const bytes of cuts(store)) {
        const crashed = area.slice()
        replay(crashed, store, bytes)
        crashes++
        const now = formerBadBlocks(crashed, BLOCKS)
        const isFormer = probe(crashed) === 'image' && isUnchanged(crashed, snapshot)
        if (isFormer) former++
        assert.deepEqual(now, isFormer ? known : BAD)
        // `formatOver`, called once more on what the crash left, makes the whole new state.
        const again = crashed.slice()
        assert.equal(formatOver(again, OTHER, fresh()), true)
        assert.deepEqual(entriesOf(open(again).state), entriesOf(fresh()))
      }
      replay(area, store)
    }
    assert.deepEqual(entriesOf(open(area).state), entriesOf(fresh()))
    assert.equal(readHeader(area).identity.poolName, 'another')
    assert.deepEqual(
      checkImage(area, new State(), () => undefined).filter(({ severity }) => severity !== 'ok'),
      [],
    )
  }
  assert.ok(former > 100 && crashes - former > 100, `${crashes} crashes, ${former} before the new state`)
  t.diagnostic(`${crashes} crashes`)
})

/**
 * Each byte of a word, some of a body. The magic word is stored whole: no reader takes a part of one for an
 * image, not of `Image.format` either.
 */
const cuts = ({ offset, bytes: { length } }: TracedStore): number[] =>
  length <= 8
    ? Array.from({ length: length + 1 }, (_, at) => at).filter((at) => offset > 0 || at % 8 === 0)
    : [0, 1, 7, 8, Math.floor(length / 3), Math.floor(length / 2), length - 1, length]

function isUnchanged(area: Uint8Array, snapshot: string): boolean {
  try {
    return openImage(area.slice()).state.snapshot() === snapshot
  } catch {
    return false
  }
}

test('the new pool is used like any other', () => {
  const [before] = formerImages(7)
  assert.ok(before)
  assert.equal(formatOver(before, OTHER, fresh()), true)
  const image = openImage(before)
  const random = randomFrom(3)
  for (let records = 1; records < 2000; records++) {
    const entries = randomEntries(random)
    if (image.fits(entries)) image.commit({ unique: BigInt(records), epoch: 2 }, entries)
  }
  assert.equal(openImage(before.slice()).state.snapshot(), image.state.snapshot())
})

test('where there is no image nothing is changed, and nothing is known', () => {
  for (const area of [new Uint8Array(SMALL_AREA_BYTES), new Uint8Array(SMALL_AREA_BYTES).fill(0x5a)]) {
    const before = area.slice()
    assert.equal(formatOver(area, OTHER, fresh()), false)
    assert.deepEqual(area, before)
    assert.equal(formerBadBlocks(area, BLOCKS), 'none')
  }
})

test('an image that cannot be read is told apart from none; one of another size says nothing', () => {
  const area = new Uint8Array(SMALL_AREA_BYTES)
  Image.format(area, IDENTITY, fresh())
  assert.deepEqual(formerBadBlocks(area, BLOCKS), BAD)
  assert.equal(formerBadBlocks(area, BLOCKS + 1), 'none')
  const { slotOffsets } = geometryOf(area.length)
  for (const offset of slotOffsets) area.fill(0xff, offset, offset + 64)
  assert.equal(formerBadBlocks(area, BLOCKS), 'unreadable')
  assert.equal(formatOver(area, OTHER, fresh()), false)
})
