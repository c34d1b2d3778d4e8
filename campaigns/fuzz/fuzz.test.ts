/**
 * Tests of the fuzzer itself: what it counts as new, how it changes an input, and that its targets read their
 * seeds.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { formatSize } from '../../src/values/size.ts'
import { Coverage } from './coverage.ts'
import { MAX_INPUT_BYTES, mutate } from './mutate.ts'
import { TARGETS } from './targets.ts'

// First: V8 counts the blocks of functions that are compiled after coverage began.
test('code that runs is new once, and a branch that had not run is new', () => {
  const coverage = new Coverage()
  formatSize(2 ** 30)
  assert.equal(coverage.look({ keep: true }), true)
  formatSize(2 ** 31)
  assert.equal(coverage.look({ keep: true }), false)
  const before = coverage.characters
  formatSize(7)
  assert.equal(coverage.look({ keep: false }), true)
  assert.equal(coverage.characters, before)
  formatSize(7)
  assert.equal(coverage.look({ keep: true }), true)
  assert.ok(coverage.characters > before)
})

for (const [name, target] of Object.entries(TARGETS))
  test(`${name}: its own inputs are read without a finding`, () => {
    const seeds = target.seeds()
    assert.ok(seeds.length > 0)
    for (const seed of seeds) {
      assert.ok(seed.length <= MAX_INPUT_BYTES)
      target.run(seed)
    }
  })

test('the same seed makes the same inputs, of JSON many that are JSON', () => {
  const input = Buffer.from('{"format":1,"sessions":[{"name":"x","memories":[1,2]}]}')
  const inputs = (seed: number): Uint8Array[] => {
    const random = randomFrom(seed)
    const parts = { random, dictionary: [Buffer.from('word')], other: Buffer.from('[1,2,3]'), isJson: true }
    return Array.from({ length: 500 }, () => mutate(input, parts))
  }
  const made = inputs(7)
  assert.deepEqual(inputs(7), made)
  assert.ok(made.filter((each) => Buffer.compare(each, input) !== 0).length > 400)
  const isJson = (bytes: Uint8Array): boolean => {
    try {
      JSON.parse(Buffer.from(bytes).toString())
      return true
    } catch {
      return false
    }
  }
  const count = made.filter(isJson).length
  assert.ok(count > 100 && count < 450, `${count} of 500`)
})
