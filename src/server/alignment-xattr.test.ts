import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALIGN } from '../fs/space/alignment.ts'
import { blocks, fixture, ok, ROOT } from '../fs/testing/fixture.ts'
import { gibibyteFrames, layOut } from '../stores/carve-out/layout.ts'
import { checkAlignment, storeAlignment } from './alignment-xattr.ts'

const [MIB, GIB] = [2 ** 20, 2 ** 30]
const CPU = 'processor : 0\nflags\t\t: fpu pse pdpe1gb rdtscp\n'

test('pages of 1G need a processor that has them, and a place for one', () => {
  const check = (start: number, sizeBytes: number, cpuinfo = CPU, align = GIB) => {
    const layout = layOut({ start, lengthBytes: sizeBytes }, 'test')
    const { totalBlocks } = layout
    checkAlignment({ frames: gibibyteFrames(layout), totalBlocks, place: layout.range }, align, cpuinfo)
  }
  check(4 * GIB, GIB + 64 * MIB)
  check(4 * GIB - 2 * MIB, GIB + 64 * MIB)
  check(4 * GIB, 64 * MIB, '', 2 * MIB)
  // The metadata takes the end of a region of just 1 GiB.
  assert.throws(() => check(4 * GIB, GIB), /no aligned page of 1G fits .* begins at 0x100000000 and has 1G/)
  assert.throws(() => check(4 * GIB + 2 * MIB, 1.5 * GIB), /at a multiple of 1G/)
  assert.throws(() => check(4 * GIB, 2 * GIB, CPU.replace('pdpe1gb ', '')), /no pages of 1G \(pdpe1gb\)/)
})

test('the alignment a mount asks for stays, and nothing is written where it is stored already', () => {
  const { fs, rq, journal } = fixture({
    clearing: 'ours',
    totalBlocks: 43,
    frames: { blocks: 8, first: 3 },
    chunkBlocks: 4,
  })
  const last = () => [journal.lastOrigin, journal.lastEntries]
  const before = last()
  storeAlignment(fs, rq(), blocks(1))
  assert.deepEqual(last(), before, 'one block is what an empty pool does by itself')
  storeAlignment(fs, rq(), blocks(8))
  assert.equal(Buffer.from(ok(fs.getXattr(ROOT, ALIGN))).toString(), String(blocks(8)))
  const stored = last()
  storeAlignment(fs, rq(), blocks(8))
  assert.deepEqual(last(), stored)
  storeAlignment(fs, rq(), blocks(1))
  assert.equal(Buffer.from(ok(fs.getXattr(ROOT, ALIGN))).toString(), String(blocks(1)))
})
