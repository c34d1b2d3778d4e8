import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EBUSY, EHWPOISON } from '../../values/errno.ts'
import { CHUNK_BLOCKS } from '../store.ts'
import type { Job, JobOutcome } from './jobs.ts'
import { chunkExtent, rangesOf } from './layout.ts'
import { FakeRegion } from './testing/fake-region.ts'
import { WorkQueue } from './work-queue.ts'

const BLOCKS = 4 + 3 * CHUNK_BLOCKS

function setUp() {
  const region = new FakeRegion(BLOCKS)
  const told: string[] = []
  const outcomes: JobOutcome[] = []
  const progress: number[] = []
  const work = new WorkQueue({
    mapper: region,
    finish: (job, outcome) => {
      told.push(`${job.kind} ${job.id} ${outcome.kind}`)
      outcomes.push(outcome)
    },
    progress: (bytes) => void progress.push(bytes),
  })
  let id = 0
  const add = (kind: Job['kind'], start: number, count: number): void =>
    work.add({ id: ++id, kind, ranges: rangesOf(region.layout, [{ start, count }]) })
  const addChunk = (kind: 'chunk' | 'drop', chunk: number): void => {
    const { start, count } = chunkExtent(region.layout, chunk)
    add(kind, start, count)
  }
  return { region, work, told, outcomes, progress, add, addChunk }
}

function runAll(work: WorkQueue): number | undefined {
  let again = work.step()
  while (again === 0) again = work.step()
  return again
}

test('a device is made once, and found again', () => {
  const { region, work, told, add } = setUp()
  add('make', 3, 2)
  add('make', 3, 2)
  assert.equal(runAll(work), undefined)
  assert.deepEqual(told, ['make 1 made', 'make 2 made'])
  assert.deepEqual(region.trace, ['make 3+2'])
})

test('a chunk that no process holds is dropped; one that a process holds stays', () => {
  const { region, work, told, outcomes, add } = setUp()
  add('make', 0, 4)
  runAll(work)
  add('make', 2, 4)
  runAll(work)
  assert.deepEqual(region.trace, ['make 0+4', 'destroy 0+4', 'make 2+4'])
  region.held.add([...region.instances.values()][0]?.number ?? '0:0')
  add('make', 5, 2)
  runAll(work)
  assert.deepEqual(outcomes.at(-1), { kind: 'failed', errnoCode: EBUSY.code })
  add('free', 2, 4)
  runAll(work)
  assert.deepEqual(told.at(-1), 'free 4 held')
  region.held.clear()
  add('free', 2, 4)
  runAll(work)
  assert.deepEqual(told.at(-1), 'free 5 done')
  assert.equal(region.instances.size, 0)
})

test('all that are to be freed are looked for at once', () => {
  const { region, work, add } = setUp()
  for (const start of [0, 4, 8]) add('make', start, 2)
  runAll(work)
  let looks = 0
  const look = region.holders.bind(region)
  region.holders = (instances) => {
    looks++
    return look(instances)
  }
  for (const start of [0, 4, 8]) add('free', start, 2)
  runAll(work)
  assert.equal(looks, 1)
  assert.equal(region.instances.size, 0)
})

test('zeroing writes the range and nothing else, and leaves no device', () => {
  const { region, work, told, progress, add } = setUp()
  region.fill(0, 40, 0xaa)
  add('clear', 3, 20)
  assert.equal(runAll(work), undefined)
  assert.deepEqual(told, ['clear 1 done'])
  assert.ok(region.isAll(3, 20, 0))
  assert.ok(region.isAll(0, 3, 0xaa))
  assert.ok(region.isAll(23, 17, 0xaa))
  assert.deepEqual(region.trace, ['make 3+20', 'destroy 3+20'])
  assert.equal(progress.at(-1), 20 * 2 ** 21)
  assert.ok(progress.length > 1, 'in slices')
})

test('zeroing uses chunks that are mapped, and makes devices for what lies between', () => {
  const { region, work, addChunk, add } = setUp()
  addChunk('chunk', 1)
  runAll(work)
  region.fill(0, 3 * CHUNK_BLOCKS, 0xaa)
  region.trace.length = 0
  add('clear', 10, 2 * CHUNK_BLOCKS)
  runAll(work)
  assert.ok(region.isAll(10, 2 * CHUNK_BLOCKS, 0))
  assert.ok(region.isAll(0, 10, 0xaa))
  assert.ok(region.isAll(2 * CHUNK_BLOCKS + 10, 4, 0xaa))
  assert.deepEqual(region.trace, [
    'make 10+22',
    'destroy 10+22',
    `make ${2 * CHUNK_BLOCKS}+10`,
    `destroy ${2 * CHUNK_BLOCKS}+10`,
  ])
})

test('a job waits for zeroing only where their ranges overlap, and keeps its order among jobs about the same memory', () => {
  const { region, work, told, addChunk, add } = setUp()
  add('clear', 0, CHUNK_BLOCKS)
  work.step()
  add('make', 2, 1)
  addChunk('chunk', 2)
  add('free', 2, 1)
  work.step()
  assert.deepEqual(told, ['chunk 3 mapped'], 'somewhere else: at once')
  runAll(work)
  assert.deepEqual(told, ['chunk 3 mapped', 'clear 1 done', 'make 2 made', 'free 4 done'])
  assert.deepEqual([...region.instances.values()].length, 1)
})

test('what a process holds is not zeroed; other jobs go on', () => {
  const { region, work, told, outcomes, add } = setUp()
  region.fill(0, 8, 0xaa)
  add('make', 2, 2)
  runAll(work)
  const number = [...region.instances.values()][0]?.number ?? '0:0'
  region.held.add(number)
  add('clear', 0, 8)
  assert.equal(runAll(work), undefined, 'it is given back')
  assert.ok(region.isAll(0, 8, 0xaa))
  assert.deepEqual(outcomes.at(-1), { kind: 'failed', errnoCode: EBUSY.code })
  add('clear', 4, 4)
  add('make', 20, 1)
  runAll(work)
  assert.deepEqual(told, ['make 1 made', 'clear 2 failed', 'make 4 made', 'clear 3 done'])
  assert.ok(region.isAll(4, 4, 0))
})

test('a data chunk that is dropped is unmapped and gone; a mapped one is never destroyed for another', () => {
  const { region, work, told, outcomes, addChunk, add } = setUp()
  addChunk('chunk', 0)
  addChunk('chunk', 0)
  add('make', 5, 1)
  runAll(work)
  assert.deepEqual(outcomes.at(-1), { kind: 'failed', errnoCode: EBUSY.code })
  addChunk('drop', 0)
  add('make', 5, 1)
  runAll(work)
  assert.deepEqual(told.slice(-2), ['drop 4 done', 'make 5 made'])
  assert.deepEqual(region.trace, [`make 0+${CHUNK_BLOCKS}`, `destroy 0+${CHUNK_BLOCKS}`, 'make 5+1'])
})

test('the worker reports blocks that a poisoned page keeps from being zeroed, and does the next job', () => {
  const { region, work, told, outcomes, add } = setUp()
  region.fill(0, 4, 7)
  region.lose(4 + CHUNK_BLOCKS)
  add('clear', 4 + CHUNK_BLOCKS, 2)
  runAll(work)
  add('clear', 0, 4)
  runAll(work)
  assert.deepEqual(told, ['clear 1 failed', 'clear 2 done'])
  assert.deepEqual(outcomes[0], { kind: 'failed', errnoCode: EHWPOISON.code })
  assert.ok(region.isAll(0, 4, 0))
  assert.equal(region.instances.size, 0, 'what was made to zero it is taken away')
})
