/** Tests of reading the number of kexecs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../src/values/errors.ts'
import { kexecsOf } from './cycles.ts'

test('a number of kexecs, five without one', () => {
  assert.deepEqual([kexecsOf([]), kexecsOf(['1']), kexecsOf(['20'])], [5, 1, 20])
  for (const text of ['0', '100', '-1', 'x', '']) assert.throws(() => kexecsOf([text]), UsageError)
})
