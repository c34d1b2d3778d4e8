/**
 * The bench of the allocator: the file system in memory, without a mount, allocates 1 GiB for a guest and 8
 * MiB for an ordinary file in pools of three sizes, each empty and fragmented, with gigantic frames and
 * without.
 */

import { fixture, nameAt, ok, ROOT } from '../src/fs/testing/fixture.ts'
import { BLOCK_BYTES } from '../src/stores/store.ts'
import type { Ino } from '../src/values/ids.ts'
import { MIB } from '../src/values/units.ts'
import { interleave, type Measured, median, medianOf, type Side } from './harness.ts'
import { atMostRow, fact, type Result } from './report.ts'

const GIB = 1024 * MIB
const SIZES = { '16 GiB': 16 * GIB, '1 TiB': 1024 * GIB, '4 TiB': 4096 * GIB }
type Size = keyof typeof SIZES
/** As a pool has them whose memory begins somewhere in a gigabyte. */
const FRAMES = { blocks: GIB / BLOCK_BYTES, first: 100 }
const CHUNK_BLOCKS = 32
/** In a fragmented pool a guest has the first two blocks of each 64: no gigantic frame is whole. */
const EVERY_BLOCKS = 64
const HELD_BLOCKS = 2
const ORDINARY = Buffer.alloc(8 * MIB)
const TIMES = 20
const WARM_UPS = 5

interface Pool {
  readonly size: Size
  readonly name: string
  readonly isFragmented: boolean
  readonly hasFrames: boolean
}

const POOLS: readonly Pool[] = [true, false].flatMap((hasFrames) =>
  [false, true].flatMap((isFragmented) =>
    (Object.keys(SIZES) as Size[]).map((size) => ({
      size,
      name: `${size}, ${isFragmented ? 'fragmented' : 'empty'}${hasFrames ? ', gigantic frames' : ''}`,
      isFragmented,
      hasFrames,
    })),
  ),
)

/** Microseconds for each of the two, their records and what the server asks after each request included. */
function sideOf({ size, name, isFragmented, hasFrames }: Pool): Side {
  const totalBlocks = SIZES[size] / BLOCK_BYTES
  const shape = { clearing: 'ours', totalBlocks, chunkBlocks: CHUNK_BLOCKS } as const
  const { fs, rq, file, journal } = fixture(hasFrames ? { ...shape, frames: FRAMES } : shape)
  if (isFragmented) {
    const inode = ok(fs.inode(file('held')) as NonNullable<ReturnType<typeof fs.inode>>)
    const extents = Array.from({ length: totalBlocks / EVERY_BLOCKS }, (_, at) => ({
      start: at * EVERY_BLOCKS,
      count: HELD_BLOCKS,
    }))
    const sizeBytes = extents.length * HELD_BLOCKS * BLOCK_BYTES
    journal.commit(rq().origin, [{ kind: 'inode', inode: { ...inode, guestRam: true, extents, sizeBytes } }])
  }
  const remove = (ino: Ino, of: string): void => {
    fs.unlink(rq(), nameAt(ROOT, of))
    fs.evict(rq(), ino)
    for (let dirty = fs.dirtyExtent(256); dirty; dirty = fs.dirtyExtent(256)) fs.markClean(rq(), dirty)
  }
  const timed = (of: string, grow: (ino: Ino) => void): number => {
    const each: number[] = []
    for (let time = 0; time < TIMES; time += 1) {
      const ino = file(of)
      const started = performance.now()
      grow(ino)
      fs.dirtyExtent(256)
      each.push((performance.now() - started) * 1000)
      remove(ino, of)
    }
    return median(each)
  }
  return {
    name,
    run: () => ({
      guestRam: timed('ram', (ino) => void ok(fs.setAttributes(rq(), ino, { sizeBytes: GIB }))),
      ordinary: timed('ordinary', (ino) => void ok(fs.write(rq(), ino, 0, ORDINARY))),
    }),
  }
}

const FIGURES = { guestRam: '1 GiB for a guest', ordinary: '8 MiB for a file' } as const

export async function benchSpace(rounds: number, progress: (line: string) => void): Promise<Result> {
  const sides = POOLS.map(sideOf)
  const measured = await interleave(sides, { rounds, warmUps: WARM_UPS, settleMs: 0, progress })
  const of = (wanted: Pool): Measured => measured[POOLS.indexOf(wanted)] as Measured
  const figures = Object.entries(FIGURES)
  return {
    name: 'space',
    title: 'Choosing memory: microseconds in a large pool against one of 16 GiB, the file system in memory',
    settings: { times: TIMES, rounds, everyBlocks: EVERY_BLOCKS, heldBlocks: HELD_BLOCKS },
    measured,
    rows: POOLS.flatMap((pool) => {
      const small = POOLS.find((each) => each.size === '16 GiB' && sameShape(each, pool)) as Pool
      return figures.map(([figure, about]) =>
        pool === small
          ? fact(`${about}, ${pool.name}`, `${medianOf(of(pool), figure).toFixed(1)} µs`)
          : atMostRow(
              `${about}, ${pool.name}`,
              medianOf(of(pool), figure) / medianOf(of(small), figure),
              1.5,
            ),
      )
    }),
  }
}

const sameShape = (a: Pool, b: Pool): boolean =>
  a.isFragmented === b.isFragmented && a.hasFrames === b.hasFrames
