/** A file below /run that is no record throws no exception: its reader goes on without it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRuntime, type VmRuntime } from './vm-runtime.ts'

const RUNTIME: VmRuntime = {
  ramFile: '/mnt/ram',
  qemu: null,
  end: null,
}

test('a record is read as it was written, and one that was cut off is none', () => {
  const text = JSON.stringify(RUNTIME)
  assert.deepEqual(parseRuntime(text), RUNTIME)
  for (const none of ['', text.slice(0, 20), 'null', '{}']) assert.equal(parseRuntime(none), undefined, none)
})
