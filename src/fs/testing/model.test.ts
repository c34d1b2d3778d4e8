/**
 * Random operations on the file system and on the plain reference model beside it: same answers, same tree,
 * same contents; every invariant and statfs after each step; and the log, replayed, is the same state. A
 * failure prints its seed: run again with `SEED=… node --test src/fs/testing/model.test.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EAGAIN, EDQUOT, EFBIG, EINTR, EIO, EMFILE, ENOMEM, ENOSPC, EPERM } from '../../values/errno.ts'
import { MIB } from '../../values/units.ts'
import { checkImage } from '../image/fsck-image.ts'
import { Image } from '../image/image.ts'
import { State } from '../state/state.ts'
import { freshState, MEMORY_KINDS, ModelPair, TOTAL_BLOCKS } from './model-pair.ts'
import { step } from './model-steps.ts'
import { PlainJournal } from './plain-journal.ts'

const seed = Number(process.env.SEED) || undefined
const seeded = seed === undefined ? {} : { seed }

for (const kind of MEMORY_KINDS) {
  const chunks = kind.chunkBlocks === undefined ? '' : `, data chunks of ${kind.chunkBlocks}`
  test(`random operations do what the reference model does, clearing by ${kind.clearing}${chunks}`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const journal = new PlainJournal(TOTAL_BLOCKS, freshState(kind))
        const pair = new ModelPair(kind, journal, (found) => found.replay())
        for (const one of steps) {
          pair.run(one)
          pair.check()
        }
      }),
      { numRuns: 60, ...seeded },
    )
  })
}

test('the same through the persistent image, long enough for checkpoints, opened anew again and again', () => {
  let checkpoints = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 3000, maxLength: 3000, size: 'max' }), (steps) => {
      const area = new Uint8Array(new SharedArrayBuffer(MIB / 4))
      const identity = {
        poolName: 'model',
        storeKind: 'memfd',
        totalBlocks: TOTAL_BLOCKS,
        uuid: new Uint8Array(16),
      }
      const kind = { clearing: 'ours', chunkBlocks: 2 } as const
      Image.format(area, identity, freshState(kind))
      const open = () => Image.open(area, { storeKind: 'memfd', totalBlocks: TOTAL_BLOCKS }, new State())
      const pair = new ModelPair(kind, open(), open)
      for (const [at, one] of steps.entries()) {
        pair.run(one)
        if (at % 50 === 0) pair.check()
      }
      pair.check()
      checkpoints += pair.fx.journal.generation - 1
    }),
    // fast-check does not shrink a failure: its seed is enough to see it again.
    { numRuns: 3, endOnFailure: true, ...seeded },
  )
  assert.ok(checkpoints > 0, 'checkpoints were made')
})

test('whichever call of the store fails: the step answers its errno, has changed nothing, and works next time', () => {
  let failed = 0
  const fault = fc.record({
    errno: fc.constantFrom(EIO, ENOMEM, ENOSPC, EFBIG, EINTR, EAGAIN, EDQUOT, EPERM, EMFILE),
    lasts: fc.boolean(),
  })
  const steps = fc.array(fc.tuple(step, fault), { minLength: 100, maxLength: 100, size: 'max' })
  fc.assert(
    fc.property(fc.constantFrom(...MEMORY_KINDS), steps, (kind, steps) => {
      const area = new Uint8Array(new SharedArrayBuffer(MIB / 4))
      const identity = { poolName: 'model', storeKind: 'memfd', totalBlocks: TOTAL_BLOCKS }
      Image.format(area, { ...identity, uuid: new Uint8Array(16) }, freshState(kind))
      const open = () => Image.open(area, { storeKind: 'memfd', totalBlocks: TOTAL_BLOCKS }, new State())
      const pair = new ModelPair(kind, open(), open)
      for (const [one, { errno, lasts }] of steps) {
        failed += pair.runFaulty(one, { errno, lasts })
        pair.check()
      }
      const findings = checkImage(area, new State(), () => kind.chunkBlocks)
      assert.deepEqual(
        findings.filter(({ severity }) => severity !== 'ok'),
        [],
      )
    }),
    { numRuns: 60, endOnFailure: true, ...seeded },
  )
  assert.ok(failed > 300, `${failed} calls failed`)
})
