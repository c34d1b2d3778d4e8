/**
 * Choosing memory costs no more in a large pool. What is counted is work, not time: blocks read, and nodes of
 * trees visited, which may grow by the depth of a tree.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLOCK_BYTES } from '../../stores/store.ts'
import { GIB, MIB } from '../../values/units.ts'
import { owned } from './block-kinds.ts'
import { FreeRuns } from './free-runs.ts'
import { Zones } from './zones.ts'

const RAM = { guestRam: true }
const ORDINARY = { guestRam: false }
const ONE_RUN = { guestRam: true, contiguous: { after: undefined } }
const IN_FRAMES = { guestRam: true, inFrames: true }
const FRAMES = { blocks: GIB / BLOCK_BYTES, first: 100 }
const WANTED = GIB / BLOCK_BYTES

/** An array that counts how often a block of it is read. */
function counted(totalBlocks: number): { blocks: Uint8Array; reads: () => number } {
  let reads = 0
  const counting = (bytes: Uint8Array): Uint8Array =>
    new Proxy(bytes, {
      get(target, key) {
        if (typeof key === 'string' && /^\d+$/.test(key)) {
          reads++
          return target[Number(key)]
        }
        if (key === 'subarray')
          return (start: number, end: number) => {
            reads += end - start
            return target.subarray(start, end)
          }
        return Reflect.get(target, key, target)
      },
    })
  return { blocks: counting(new Uint8Array(totalBlocks)), reads: () => reads }
}

/** What the server asks for one allocation, each question alone: the work that it takes. */
function work(poolBytes: number, isFragmented: boolean): Record<string, number> {
  const totalBlocks = poolBytes / BLOCK_BYTES
  const { blocks, reads } = counted(totalBlocks)
  // Two blocks of each 64: every frame is broken, and 1 GiB comes in the same pieces in each pool.
  if (isFragmented) for (let at = 0; at < totalBlocks; at += 64) hold(blocks, at)
  const zones = new Zones(blocks, (64 * MIB) / BLOCK_BYTES, FRAMES)
  zones.changed({ start: 0, count: totalBlocks })
  const asked = (question: () => unknown): number => {
    const before = reads() + FreeRuns.nodesVisited
    question()
    return reads() + FreeRuns.nodesVisited - before
  }
  const change = { start: 8, count: 8 }
  return {
    choose: asked(() => zones.choose(WANTED, RAM)),
    ordinary: asked(() => zones.choose(4, ORDINARY)),
    shouldWait: asked(() => zones.shouldWait(WANTED, RAM)),
    frames: asked(() => zones.chooseShaped(WANTED, IN_FRAMES, { dirtyToo: false })),
    framesOnceZeroed: asked(() => zones.chooseShaped(WANTED, IN_FRAMES, { dirtyToo: true })),
    oneRun: asked(() => zones.chooseShaped(60, ONE_RUN, { dirtyToo: true })),
    wholeFrames: asked(() => zones.wholeFrames),
    nextDataChunk: asked(() => zones.nextDataChunk()),
    dirty: asked(() => zones.dirtyOutsideFrames(0)),
    changed: asked(() => zones.changed(change)),
    nextAfterChange: asked(() => zones.nextDataChunk()),
  }
}

function hold(blocks: Uint8Array, at: number): void {
  for (const block of [at, at + 1]) blocks[block] = owned(0, true)
}

for (const isFragmented of [false, true])
  test(`no question of an allocation takes more work in a pool of 1 TiB than of 16 GiB, ${isFragmented ? 'fragmented' : 'empty'}`, () => {
    const [small, large] = [work(16 * GIB, isFragmented), work(1024 * GIB, isFragmented)]
    // Six more levels of a tree are less than half of what there are.
    for (const [question, steps] of Object.entries(large))
      assert.ok(
        steps <= 2 * (small[question] as number) + 40,
        `${question}: ${steps} steps instead of ${small[question]}`,
      )
  })
