/** Workers that die or hang, seen from a thread that runs no event loop. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { waitReadable } from '../../linux/descriptors.ts'
import { threadId } from '../../linux/process.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { GIB } from '../../values/units.ts'
import type { StuckTarget } from './testing/stuck-worker.ts'
import { WorkerClient } from './worker-client.ts'
import { CHECK_MS, countStep, makeStepWords, recordThread, WorkerWatch } from './worker-watch.ts'

const PROGRAM = new URL('testing/stuck-worker.ts', import.meta.url)
const SERVER = fileURLToPath(new URL('testing/serve-stuck.ts', import.meta.url))

/** What ends a server whose worker does this, and after how many milliseconds. */
function ending(how: StuckTarget['how']): { reason: string; afterMs: number } {
  const reasons: string[] = []
  const client = new WorkerClient(PROGRAM, { how }, (reason) => void reasons.push(reason))
  assert.equal(client.checkMs, undefined, 'no request is unanswered')
  const startedAtMs = performance.now()
  client.send('make', [{ start: 0, lengthBytes: 4096 }], () => assert.fail('it has no answer'))
  while (reasons.length === 0 && performance.now() < startedAtMs + 20_000) {
    try {
      if (waitReadable(client.wake, client.checkMs ?? 0)) client.drain()
      client.check()
    } catch (error) {
      assert.ok(error instanceof BrokenInvariantError)
      reasons.push(error.message)
    }
  }
  return { reason: reasons[0] ?? 'nothing', afterMs: performance.now() - startedAtMs }
}

test('a worker whose thread ends by itself says so', () => {
  assert.match(ending('ends').reason, /worker broke: its thread ended with 3/)
})

test('a worker whose thread ends without a report is noticed', () => {
  const { reason, afterMs } = ending('is ended')
  assert.match(reason, /the store's worker has died, and has not answered 1 requests \(make\)/)
  assert.ok(afterMs < 4000, `${afterMs} ms`)
})

test('a server whose worker hangs says so within five seconds, and ends by a signal', () => {
  const { signal, stderr } = spawnSync(process.execPath, [SERVER], { encoding: 'utf8', timeout: 20_000 })
  assert.match(
    stderr,
    /worker has made no step for [45]\d\d\d ms, and has not answered 1 requests \(make\): this server ends/,
  )
  assert.equal(signal, 'SIGTERM')
})

test('slow work, a thread that starts, and a process that was stopped are no hang', () => {
  let nowMs = 0
  const words = makeStepWords()
  const watch = new WorkerWatch(words, () => nowMs)
  /** In so many milliseconds of checks. */
  const hangsWithin = (ms: number, bytes: number, between = () => {}): boolean => {
    watch.reset()
    for (const endMs = nowMs + ms; nowMs <= endMs; nowMs += CHECK_MS) {
      if (watch.check(bytes) !== undefined) return true
      between()
    }
    return false
  }
  assert.equal(hangsWithin(29_000, 0), false, 'it has not started')
  assert.equal(hangsWithin(31_000, 0), true)
  recordThread(words)
  assert.equal(
    hangsWithin(60_000, 0, () => countStep(words)),
    false,
  )
  assert.equal(hangsWithin(60_000, 1024 * GIB), false, 'the pages of a terabyte')
  assert.equal(hangsWithin(5000, 0), true)
  watch.reset()
  // All of this process was stopped for a minute, twice.
  for (let times = 0; times < 3; times++, nowMs += 60_000) assert.equal(watch.check(0), undefined)
  assert.ok(threadId() > 0)
})
