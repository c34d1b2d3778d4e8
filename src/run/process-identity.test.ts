/** Tests of the wait for a process's end, by processes of this test. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { LATE, within } from '../values/within.ts'
import { identify, type ProcessIdentity, whenGone } from './process-identity.ts'

/** Long enough for a wait that ends too early to be seen. */
const BRIEF_MS = 100
const PATIENCE_MS = 10_000

function sleeping(t: TestContext): { readonly one: ProcessIdentity; readonly kill: () => void } {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  return { one: identify(child.pid ?? 0) as ProcessIdentity, kill: () => child.kill('SIGKILL') }
}

/** Descriptors of processes alone: Node opens others at any time. */
function openPidfds(): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return '' // that of the directory
    }
  })
  return links.filter((link) => link.includes('pidfd')).length
}

test('the wait lasts as long as the process', async (t) => {
  const { one, kill } = sleeping(t)
  const before = openPidfds()
  const gone = whenGone(one, new AbortController().signal)
  assert.equal(await within(gone, BRIEF_MS), LATE)
  kill()
  assert.notEqual(await within(gone, PATIENCE_MS), LATE)
  assert.equal(openPidfds(), before)
})

test('a wait that is given up ends, and leaves no descriptor', async (t) => {
  const { one } = sleeping(t)
  const before = openPidfds()
  const stop = new AbortController()
  const gone = whenGone(one, stop.signal)
  assert.equal(openPidfds(), before + 1)
  stop.abort()
  assert.notEqual(await within(gone, PATIENCE_MS), LATE)
  assert.equal(openPidfds(), before)
})

test('one that has ended already, or whose pid another process has, is not waited for', async (t) => {
  const { one } = sleeping(t)
  const { signal } = new AbortController()
  assert.notEqual(await within(whenGone({ ...one, startTime: '1' }, signal), PATIENCE_MS), LATE)
  // Beyond the largest pid that a kernel gives (PID_MAX_LIMIT, include/linux/threads.h).
  assert.notEqual(await within(whenGone({ pid: 2 ** 22 + 1, startTime: '1' }, signal), PATIENCE_MS), LATE)
})
