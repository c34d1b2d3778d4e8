import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareVersions, type QemuVersion } from './qemu-version.ts'

test('versions are ordered by their numbers, not their letters', () => {
  const ordered: QemuVersion[] = ['7.2.22', '8.2.0', '8.2.1', '8.10.0', '10.0.2', '11.1.0']
  const shuffled: QemuVersion[] = ['10.0.2', '8.2.1', '11.1.0', '8.10.0', '7.2.22', '8.2.0']
  assert.deepEqual(shuffled.sort(compareVersions), ordered)
  assert.equal(compareVersions('8.2.0', '8.2.0'), 0)
})
