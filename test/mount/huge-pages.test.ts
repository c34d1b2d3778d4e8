/** Tests that the kernel maps guest RAM by huge pages through the mount, where it gives shared memory any. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { setShmemHugePages, shmemHugePages } from '../../src/linux/memory-info.ts'
import { Errno } from '../../src/values/errno.ts'
import { Mapper } from './mapper.ts'
import { cannotMount, mountTestPool } from './support.ts'

const SIZE = 64 * 1024 * 1024

test('guest RAM that asks for huge pages is mapped by them, all of it', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const before = shmemHugePages()
  if (before instanceof Errno) return t.skip(`this kernel has no huge pages for shared memory (${before})`)
  t.after(() => setShmemHugePages(before))
  const refused = setShmemHugePages('advise')
  if (refused !== undefined) return t.skip(`shmem_enabled cannot be set to advise (${refused})`)

  const { path } = await mountTestPool(t)
  fs.writeFileSync(path('ram'), '')
  fs.truncateSync(path('ram'), SIZE)
  const mapper = await Mapper.start(t, path('ram'), SIZE)
  assert.equal(await mapper.adviseHuge(), 'done')
  await mapper.fill(0, SIZE, 1)
  assert.equal(await mapper.pmdBytes(), SIZE)
  // Another process that maps it later gets the same pages.
  const second = await Mapper.start(t, path('ram'), SIZE)
  await second.adviseHuge()
  await second.fill(0, SIZE, 2)
  assert.equal(await second.pmdBytes(), SIZE)
  assert.equal(await mapper.load(SIZE - 1), 2)
  await Promise.all([mapper.end(), second.end()])
})
