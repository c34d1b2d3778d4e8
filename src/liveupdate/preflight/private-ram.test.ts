/** Tests of the remark about private RAM, and of its refusal, before a guest is paused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GIB, MIB } from '../../values/units.ts'
import { checkPrivateRam } from './private-ram.ts'

test('without private RAM there is no remark', () => {
  assert.deepEqual(checkPrivateRam(0, 2 * MIB), { problems: [], remarks: [] })
})

test('the remark says that the guest is stopped for it', () => {
  assert.deepEqual(checkPrivateRam(512 * MIB, 2 * MIB), {
    problems: [],
    remarks: ['512M of its RAM are private: it is stopped while QEMU writes them'],
  })
})

test('more than a state file takes is refused', () => {
  const { problems, remarks } = checkPrivateRam(4 * GIB, 2 * MIB)
  assert.match(problems.join('|'), /^4G .* a state file takes \S+ at most: give it files/)
  assert.deepEqual(remarks, [])
})
