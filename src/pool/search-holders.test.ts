import assert from 'node:assert/strict'
import { test } from 'node:test'
import { finishHeader } from '../fs/image/header.ts'
import { geometryOf, NEWEST_VERSION } from '../fs/image/image-format.ts'
import { formatted, IDENTITY } from '../fs/image/testing/sample-image.ts'
import { AreaWriter } from '../fs/image/writer.ts'
import { close } from '../linux/descriptors.ts'
import { memfdCreate, resize, writeAt } from '../linux/memory.ts'
import { imagesHeldBy } from './search-holders.ts'

test('an image that is being made holds nothing, one that cannot be read may be any pool', (t) => {
  const image = memfdCreate('guestmemfs:image', { sealable: false })
  t.after(() => close(image))
  assert.equal(resize(image, 2 ** 20), undefined)
  assert.deepEqual(imagesHeldBy(process.pid), [], 'blank')
  // What `beginHeader` writes: mounts of several pools at once must not take each other's for a lost pool.
  writeAt(image, 0, Buffer.from('guestmem'))
  assert.deepEqual(imagesHeldBy(process.pid), [], 'being made')
  for (const beginning of ['GUESTMEM', 'damaged!']) {
    writeAt(image, 0, Buffer.from(beginning))
    const found = imagesHeldBy(process.pid).map(({ pool, role, process: { pid } }) => ({ pool, role, pid }))
    assert.deepEqual(found, [{ pool: undefined, role: undefined, pid: process.pid }])
  }
})

test('a process that has the images of several pools holds each of them', (t) => {
  const names = ['one', 'two', 'three']
  for (const poolName of names) {
    const bytes = formatted()
    const image = memfdCreate('guestmemfs:image', { sealable: false })
    t.after(() => close(image))
    resize(image, bytes.length)
    const named = Buffer.from(bytes)
    const writer = new AreaWriter(named)
    finishHeader(writer, geometryOf(named.length), { ...IDENTITY, poolName }, NEWEST_VERSION)
    writeAt(image, 0, named)
  }
  assert.deepEqual(
    imagesHeldBy(process.pid)
      .map(({ pool }) => pool)
      .toSorted(),
    names.toSorted(),
  )
})
