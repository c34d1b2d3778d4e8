/**
 * Ordinary files with holes, by the rules of each kind of store: a hole is charged, so a file larger than the
 * pool is refused, and nothing has changed; one that fits reads as zeroes between its bytes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EFBIG, ENOSPC } from '../../values/errno.ts'
import { blocks, type FixtureOptions, fixture, ok } from '../testing/fixture.ts'

const TOTAL_BLOCKS = 16
const OURS = { clearing: 'ours', chunkBlocks: 4 } as const
const KINDS: Readonly<Record<string, FixtureOptions>> = {
  memfd: { clearing: 'kernel' },
  dax: { ...OURS, frames: { blocks: 8, first: 0 } },
  devmem: { ...OURS, contiguous: true },
}

for (const [kind, options] of Object.entries(KINDS))
  test(`${kind}: a sparse file larger than the pool is refused, and one that fits reads as zeroes`, () => {
    const { fs, rq, file, stat } = fixture({ ...options, totalBlocks: TOTAL_BLOCKS })
    const ino = file('sparse')
    const byte = Buffer.from('x')
    assert.equal(fs.write(rq(), ino, 0, byte), 1)
    const state = () => [stat(ino).sizeBytes, stat(ino).extents, fs.statfs()]
    const before = structuredClone(state())
    for (const offset of [blocks(TOTAL_BLOCKS), blocks(TOTAL_BLOCKS) * 4, 2 ** 40, 2 ** 46])
      assert.equal(fs.write(rq(), ino, offset, byte), ENOSPC, `at ${offset}`)
    assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: blocks(TOTAL_BLOCKS) + 1 }), ENOSPC)
    assert.equal(fs.fallocate(rq(), ino, 0, 0, blocks(TOTAL_BLOCKS) + 1), ENOSPC)
    assert.equal(fs.write(rq(), ino, 2 ** 50, byte), EFBIG)
    assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: 2 ** 50 }), EFBIG)
    assert.deepEqual(state(), before)

    assert.equal(fs.write(rq(), ino, blocks(9) + 7, byte), 1)
    assert.equal(fs.statfs().freeBlocks, TOTAL_BLOCKS - 10)
    const hole = Buffer.alloc(4096, 1)
    for (let block = 1; block < 9; block++) {
      assert.equal(fs.read(ino, blocks(block), hole), hole.length)
      assert.ok(hole.every((each) => each === 0))
    }
    ok(fs.setAttributes(rq(), ino, { sizeBytes: 1 }))
    assert.equal(fs.statfs().freeBlocks, TOTAL_BLOCKS - 1)
  })
