/**
 * Tests that a pool counts in whole blocks of 2 MiB, exactly, and that a full one refuses allocations and
 * leaks no block.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { answersTo } from './refused.ts'
import { cannotMount, freeBlocks, mountTestPool, until } from './support.ts'
import { allocate } from './system-calls.ts'

const MIB = 1024 * 1024
const options = { skip: cannotMount, timeout: 60_000 }

test('statfs is exact, whatever sizes files take and leave', options, async (t) => {
  const { path, mountPoint } = await mountTestPool(t, { size: '101M' })
  const { bsize, blocks, bfree, bavail, files, ffree } = fs.statfsSync(mountPoint)
  // The server rounds the odd megabyte off.
  assert.deepEqual([bsize, blocks, bfree, bavail], [2 * MIB, 50, 50, 50])
  assert.equal(files - ffree, 1, 'the root directory')

  fs.writeFileSync(path('file'), '')
  const sizes = [1, 2 * MIB, 2 * MIB + 1, 100 * MIB, 3, 0, 50 * MIB, 1, 0, 4096]
  for (const size of sizes) {
    fs.truncateSync(path('file'), size)
    const owned = Math.ceil(size / (2 * MIB))
    assert.deepEqual(
      [freeBlocks(mountPoint), fs.statSync(path('file')).blocks],
      [50 - owned, owned * 4096],
      `${size} bytes`,
    )
  }
  fs.linkSync(path('file'), path('link'))
  fs.renameSync(path('file'), path('moved'))
  assert.equal(freeBlocks(mountPoint), 49)
  fs.unlinkSync(path('link'))
  assert.equal(freeBlocks(mountPoint), 49)
  fs.mkdirSync(path('directory'))
  fs.symlinkSync('x', path('symlink'))
  assert.equal(freeBlocks(mountPoint), 49, 'only file contents take blocks')
  const used = fs.statfsSync(mountPoint)
  assert.equal(used.files - used.ffree, 4)
  // The server frees the blocks of an unlinked file after the kernel's FORGET, which comes a moment later.
  fs.writeFileSync(path('other'), 'x')
  fs.renameSync(path('other'), path('moved'))
  await until('one file left', () => freeBlocks(mountPoint) === 49)
  fs.unlinkSync(path('moved'))
  await until('an empty pool', () => freeBlocks(mountPoint) === 50)
})

test('a full pool: all or nothing, nothing leaked, and what exists goes on', options, async (t) => {
  const { path, mountPoint } = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(path('ram'), '')
  fs.truncateSync(path('ram'), 40 * MIB)
  fs.writeFileSync(path('text'), 'x'.repeat(MIB))
  fs.writeFileSync(path('empty'), '')
  const fd = fs.openSync(path('text'), 'r+')
  assert.equal(freeBlocks(mountPoint), 32 - 20 - 1)
  const sizes = () => ['ram', 'text', 'empty'].map((name) => fs.statSync(path(name)).size)
  const before = sizes()
  const overCommit = {
    'truncate a new file': () => fs.truncateSync(path('empty'), 24 * MIB),
    'truncate guest RAM up': () => fs.truncateSync(path('ram'), 64 * MIB),
    'fallocate a new file': () => allocate(fd, 0, 0, 25 * MIB),
    'write far beyond the end': () => fs.writeSync(fd, 'y', 25 * MIB),
    'truncate to what a large pool has': () => fs.truncateSync(path('empty'), 2 ** 46),
  }
  assert.deepEqual(
    answersTo(overCommit),
    Object.fromEntries(Object.keys(overCommit).map((name) => [name, 'ENOSPC'])),
  )
  const beyondAnyPool = {
    'truncate an empty file': () => fs.truncateSync(path('empty'), 999_999_999_999_999),
    'truncate an ordinary file': () => fs.ftruncateSync(fd, 2 ** 50),
    'truncate guest RAM': () => fs.truncateSync(path('ram'), 2 ** 50),
    fallocate: () => allocate(fd, 0, 0, 2 ** 50),
    write: () => fs.writeSync(fd, 'y', 2 ** 50),
  }
  assert.deepEqual(
    answersTo(beyondAnyPool),
    Object.fromEntries(Object.keys(beyondAnyPool).map((name) => [name, 'EFBIG'])),
  )
  assert.deepEqual([freeBlocks(mountPoint), ...sizes()], [11, ...before], 'nothing was taken')

  // To the last block, and not one more.
  fs.truncateSync(path('empty'), 22 * MIB)
  assert.equal(freeBlocks(mountPoint), 0)
  assert.deepEqual(
    answersTo({
      'one byte more': () => fs.truncateSync(path('empty'), 22 * MIB + 1),
      'first byte of a new file': () => fs.writeFileSync(path('new'), 'z'),
      'write where there is a block': () => fs.writeSync(fd, 'still', 0),
      'write up to the end of the block': () => fs.writeSync(fd, 'still', 2 * MIB - 5),
      'write past the end of the block': () => fs.writeSync(fd, 'no', 2 * MIB),
      'names need no block': () => fs.mkdirSync(path('directory')),
    }),
    {
      'one byte more': 'ENOSPC',
      'first byte of a new file': 'ENOSPC',
      'write where there is a block': 'ok',
      'write up to the end of the block': 'ok',
      'write past the end of the block': 'ENOSPC',
      'names need no block': 'ok',
    },
  )
  assert.equal(fs.statSync(path('text')).size, 2 * MIB)
  fs.closeSync(fd)
  fs.unlinkSync(path('ram'))
  await until('20 free blocks', () => freeBlocks(mountPoint) === 20)
  fs.truncateSync(path('empty'), 62 * MIB)
  assert.equal(freeBlocks(mountPoint), 0)
})
