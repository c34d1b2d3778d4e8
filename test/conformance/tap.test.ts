import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countPassed, differences, parseTap } from './tap.ts'

const outcome = (output: string, ended?: string) => ({ checks: parseTap(output), ended })

test('checks are read with what they say, and other lines are no checks', () => {
  const checks = parseTap(
    "1..3\nok 1\nnot ok 2 - tried 'mkdir a', expected 0, got EPERM\nnoise\nok 3 # TODO later\n",
  )
  assert.deepEqual(
    [...checks],
    [
      [1, { passed: true, text: '' }],
      [2, { passed: false, text: "tried 'mkdir a', expected 0, got EPERM" }],
      [3, { passed: true, text: '# TODO later' }],
    ],
  )
  assert.equal(countPassed(checks), 2)
})

test('a difference is what passed there and not here: also what was never reached', () => {
  const reference = outcome('1..4\nok 1\nok 2\nnot ok 3 x\nok 4\n')
  assert.deepEqual(differences(reference, reference), [])
  assert.deepEqual(
    differences(reference, outcome('ok 1\nnot ok 2 - why\nnot ok 3 x\n', 'it took too long')),
    [
      { check: 2, text: 'why' },
      { check: 4, text: 'not reached: it took too long' },
    ],
  )
  assert.deepEqual(differences(outcome('not ok 1 x\n'), outcome('ok 1\n')), [], 'better is no difference')
})
