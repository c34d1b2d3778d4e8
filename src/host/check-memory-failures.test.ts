import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KIB } from '../values/units.ts'
import { checkMemoryFailures } from './check-memory-failures.ts'

test('memory that failed, none, and a kernel that does not count', () => {
  assert.equal(checkMemoryFailures({ failedBytes: 0 }).severity, 'ok')
  const failed = checkMemoryFailures({ failedBytes: 8 * KIB })
  assert.deepEqual([failed.severity, /^8K of the host's memory/.test(failed.message)], ['warn', true])
  const silent = checkMemoryFailures({ failedBytes: undefined })
  assert.deepEqual([silent.severity, /CONFIG_MEMORY_FAILURE/.test(silent.advice ?? '')], ['warn', true])
})
