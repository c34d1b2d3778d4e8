import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Image } from './image.ts'
import { geometryOf } from './image-format.ts'
import { recoverImage } from './recovery.ts'
import { randomFrom, testSeed } from './testing/random.ts'
import { randomRun } from './testing/recorded-run.ts'
import { EXPECTED, formatted, IDENTITY, openImage, replay, SMALL_AREA_BYTES } from './testing/sample-image.ts'
import { BLOCKS, randomEntries } from './testing/steps.ts'
import { TableState } from './testing/table-state.ts'
import { eachTear } from './testing/tears.ts'
import type { TracedStore } from './writer.ts'

test('recovery from every prefix of the stores, the last one torn at each byte', (t) => {
  const seed = testSeed()
  t.diagnostic(`SEED=${seed}`)
  const { base, baseSnapshot, commits, generations } = randomRun(randomFrom(seed), 320)
  assert.ok(generations >= 4, `only ${generations} generations`)
  const geometry = geometryOf(base.length)
  const area = base.slice()
  let before = baseSnapshot
  commits.forEach(({ stores, snapshot }, done) => {
    for (const store of stores) {
      eachTear(area, geometry, store, (bytes) => {
        const found = recoverImage(area, geometry).nextSequence - 1
        assert.ok(found === done || found === done + 1, `commit ${done}, torn at ${bytes}: ${found}`)
      })
      assert.ok([before, snapshot].includes(openImage(area.slice()).state.snapshot()), `commit ${done}, torn`)
      replay(area, store)
      assert.ok([before, snapshot].includes(openImage(area.slice()).state.snapshot()), `commit ${done}`)
    }
    assert.equal(openImage(area.slice()).state.snapshot(), snapshot)
    before = snapshot
  })
})

test('a crash in recovery, and commits after it, lose nothing', (t) => {
  const seed = testSeed()
  t.diagnostic(`SEED=${seed}`)
  const random = randomFrom(seed)
  const { base, commits } = randomRun(random, 120)
  const area = base.slice()
  for (const store of commits.flatMap(({ stores }) => stores)) {
    replay(area, store, 1 + random.below(store.bytes.length))
    const crashed = area.slice()
    const recovery: TracedStore[] = []
    const image = openImage(crashed, (mend) => recovery.push(mend))
    const snapshot = image.state.snapshot()
    const again = area.slice()
    for (const mend of recovery) {
      replay(again, mend)
      assert.equal(openImage(again.slice()).state.snapshot(), snapshot)
    }
    const entries = randomEntries(random)
    image.commit({ unique: 77n, epoch: 2 }, entries)
    const reopened = openImage(crashed)
    assert.equal(reopened.state.snapshot(), image.state.snapshot())
    assert.deepEqual(reopened.lastOrigin, { unique: 77n, epoch: 2 })
    assert.deepEqual(reopened.lastEntries, entries)
    replay(area, store)
  }
})

test('crashed after every few commits, a checkpoint never outgrows its segment', (t) => {
  const seed = testSeed()
  t.diagnostic(`SEED=${seed}`)
  const random = randomFrom(seed)
  const area = formatted()
  let image = openImage(area)
  for (let commit = 0; commit < 600; commit++) {
    const entries = randomEntries(random)
    if (image.fits(entries)) image.commit({ unique: 0n, epoch: 0 }, entries)
    if (random.below(3) === 0) {
      const snapshot = image.state.snapshot()
      image = openImage(area)
      assert.equal(image.state.snapshot(), snapshot)
    }
  }
  assert.ok(image.generation > 5, `only ${image.generation} generations`)
})

test('an interrupted format leaves no image, a complete one is one', () => {
  const area = new Uint8Array(SMALL_AREA_BYTES)
  const trace: TracedStore[] = []
  Image.format(area, IDENTITY, new TableState(BLOCKS), { trace: (store) => trace.push(store) })
  const replayed = new Uint8Array(SMALL_AREA_BYTES)
  for (const store of trace) {
    assert.throws(() => openImage(replayed), /blank|never finished/)
    replay(replayed, store)
  }
  assert.deepEqual(replayed, area)
  assert.equal(Image.open(replayed, EXPECTED, new TableState(BLOCKS)).state.snapshot(), '')
})
