import assert from 'node:assert/strict'
import { test } from 'node:test'
import { close } from '../linux/descriptors.ts'
import { memfdCreate, resize, writeAt } from '../linux/memory.ts'
import { lookAt } from './search-holders.ts'

test('an image that is being made holds nothing, one that cannot be read may be any pool', (t) => {
  const image = memfdCreate('guestmemfs:image', { sealable: false })
  t.after(() => close(image))
  assert.equal(resize(image, 2 ** 20), undefined)
  assert.equal(lookAt(process.pid), undefined, 'blank')
  // What `beginHeader` writes: mounts of several pools at once must not take each other's for a lost pool.
  writeAt(image, 0, Buffer.from('guestmem'))
  assert.equal(lookAt(process.pid), undefined, 'being made')
  for (const beginning of ['GUESTMEM', 'harmed!!']) {
    writeAt(image, 0, Buffer.from(beginning))
    const { pool, role, process: holder } = lookAt(process.pid) ?? assert.fail(beginning)
    assert.deepEqual({ pool, role, pid: holder.pid }, { pool: undefined, role: undefined, pid: process.pid })
  }
})
