/** The command refuses what it cannot run in one line, before it builds or mounts anything. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../../src/values/errors.ts'
import { compile, need, runBounded } from './programs.ts'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

const conformance = (...words: string[]): Promise<{ code: unknown; stderr: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...words], (error, _stdout, stderr) => {
      resolve({ code: error?.code ?? 0, stderr })
    })
  })

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-conformance-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('no path, and a path that is no checkout', async (t) => {
  const none = await conformance()
  assert.deepEqual(none.code, 1)
  assert.match(none.stderr, /^conformance: say where a checkout of pjdfstest or of LTP is: [^\n]*\n$/)
  const other = await conformance(scratch(t))
  assert.deepEqual(other.code, 1)
  assert.match(other.stderr, /^conformance: \S+ is no checkout of pjdfstest [^\n]*\n$/)
})

test('a program that is missing is named, with the package it comes from', () => {
  need({ sh: 'dash' })
  assert.throws(
    () => need({ sh: 'dash', 'no-such-cc': 'gcc', 'no-such-perl': 'perl' }),
    (error: unknown) =>
      error instanceof UsageError &&
      error.message === 'no-such-cc, no-such-perl cannot be found: apt-get install gcc perl',
  )
})

test('a program that hangs, and what it has started, are ended in time', async (t) => {
  const cwd = scratch(t)
  const started = performance.now()
  const ended = await runBounded('sh', ['-c', 'echo begun; sleep 60 & wait'], { cwd, timeoutMs: 500 })
  assert.deepEqual([ended.isTimedOut, ended.output], [true, 'begun\n'])
  assert.ok(performance.now() - started < 30_000)
  const failed = await runBounded('sh', ['-c', 'echo said; exit 3'], { cwd, timeoutMs: 10_000 })
  assert.deepEqual(failed, { output: 'said\n', status: 3, isTimedOut: false })
})

test('what does not compile is refused with what the compiler said', async (t) => {
  await assert.rejects(compile(scratch(t), ['nothing.c']), (error: unknown) => error instanceof UsageError)
})
