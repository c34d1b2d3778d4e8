/**
 * Proof that the crash tests can fail: each planted mistake must be noticed, and the run without one must
 * not.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Ino } from '../../values/ids.ts'
import { geometryOf } from './image-format.ts'
import { dropped, forgeChecksums, roleOf, type StorePurpose, swapped } from './testing/bugs.ts'
import { randomFrom, testSeed } from './testing/random.ts'
import { faultOf, randomRun, recordRun } from './testing/recorded-run.ts'
import { SMALL_AREA_BYTES } from './testing/sample-image.ts'
import { randomInode } from './testing/steps.ts'

const geometry = geometryOf(SMALL_AREA_BYTES)

/** Records of one size: where a record of an older log ends, one of the newer log does too. */
function evenRun(seed: number, commits: number) {
  const random = randomFrom(seed)
  return recordRun(commits, () => {
    const inode = randomInode(random, (1 + random.below(9)) as Ino)
    const plain = {
      kind: 'directory',
      object: undefined,
      extents: [],
      guestRam: false,
      gigantic: false,
      target: '',
    } as const
    return [
      {
        kind: 'inode',
        inode: { ...inode, ...plain, uid: 1000, gid: 1000, generation: 1, mode: 0o755 } as never,
      },
    ]
  })
}

test('a run without a mistake has no fault, and makes every kind of store', () => {
  const seed = testSeed()
  const run = randomRun(randomFrom(seed), 200)
  assert.equal(faultOf(run), undefined, `SEED=${seed}`)
  assert.equal(faultOf(evenRun(seed, 200)), undefined, `SEED=${seed}`)
  const roles = new Set(run.commits.flatMap(({ stores }) => stores.map((store) => roleOf(store, geometry))))
  assert.equal(roles.size, 10, [...roles].join())
})

const DROPPED: readonly StorePurpose[] = [
  'invalidate slot',
  'checkpoint body',
  'checkpoint fields',
  'checkpoint commit',
  'zero first record',
  'tail',
  'segment generation',
  'zero next record',
  'record body',
  'record header',
]

for (const role of DROPPED) {
  test(`the store "${role}" left out is noticed`, (t) => {
    const seed = testSeed()
    const fault = faultOf(dropped(evenRun(seed, 200), geometry, role))
    assert.ok(fault, `SEED=${seed}`)
    t.diagnostic(fault)
  })
}

const SWAPPED: readonly (readonly [StorePurpose, StorePurpose])[] = [
  ['record header', 'tail'],
  ['record body', 'tail'],
  ['zero next record', 'tail'],
  ['zero first record', 'segment generation'],
  ['tail', 'segment generation'],
  ['checkpoint body', 'checkpoint commit'],
  ['checkpoint fields', 'checkpoint commit'],
]

for (const [late, early] of SWAPPED) {
  test(`"${late}" stored after "${early}" is noticed`, (t) => {
    const seed = testSeed()
    const fault = faultOf(swapped(evenRun(seed, 200), geometry, late, early))
    assert.ok(fault, `SEED=${seed}`)
    t.diagnostic(fault)
  })
}

test('a checksum that is not checked is noticed', (t) => {
  const seed = testSeed()
  const fault = faultOf(evenRun(seed, 20), (area) => forgeChecksums(area, geometry))
  assert.ok(fault, `SEED=${seed}`)
  t.diagnostic(fault)
})
