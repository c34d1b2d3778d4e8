import assert from 'node:assert/strict'
import { test } from 'node:test'
import { atimeRulesOf } from './access-times.ts'

const rules = (options: string, superOptions = 'rw') =>
  atimeRulesOf({ options: options.split(','), superOptions: superOptions.split(',') })

test('the options of a mount say how closely access times are kept', () => {
  assert.deepEqual(rules('rw,relatime'), { directory: 'relative', other: 'relative' })
  assert.deepEqual(rules('rw'), { directory: 'strict', other: 'strict' })
  assert.deepEqual(rules('rw,nodiratime,relatime'), { directory: undefined, other: 'relative' })
  for (const never of [rules('rw,noatime'), rules('ro,relatime'), rules('rw,relatime', 'ro')])
    assert.deepEqual(never, { directory: undefined, other: undefined })
  assert.deepEqual(atimeRulesOf(undefined), { directory: 'relative', other: 'relative' })
})
