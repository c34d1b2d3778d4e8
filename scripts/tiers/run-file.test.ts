/** Tests of the test runner: it must notice every way in which a test file can fail. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { mountTable } from '../../src/linux/mounts.ts'
import { type JobResult, runFile } from './run-file.ts'
import { countJob, countSkippedJobs, emptyTally, tallyLines } from './tally.ts'

const project = dirname(dirname(import.meta.dirname))
const scratch = mkdtempSync(join(tmpdir(), 'r-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

let files = 0
function runText(text: string, timeoutMs = 20_000): Promise<JobResult> {
  files += 1
  const path = join(scratch, `fixture-${files}.mjs`)
  writeFileSync(path, `import { describe, test } from 'node:test'\n${text}`)
  const folder = join(scratch, `f${files}`)
  mkdirSync(folder)
  return runFile(path, { project, folder }, timeoutMs)
}

test('passes, skips with their reasons, failures and nested tests are each counted once', async () => {
  const result = await runText(`
    test('one', () => {})
    test('two', { skip: 'no moon' }, () => {})
    test('three', (t) => t.skip('no sun'))
    describe('suite', () => {
      test('four', () => {})
      test('five', () => { throw new Error('boom') })
    })
    test('parent', async (t) => { await t.test('child', () => {}) })
    test('bad parent', async (t) => { await t.test('good child', () => {}); throw new Error('late') })
  `)
  const names = (outcome: string): string[] =>
    result.events.filter((event) => event.outcome === outcome).map(({ name }) => name)
  assert.deepEqual(names('passed'), ['one', 'four', 'child', 'good child'])
  assert.deepEqual(names('failed'), ['five', 'bad parent'])
  assert.deepEqual(names('skipped'), ['two', 'three'])
  assert.match(result.events.find(({ name }) => name === 'five')?.reason ?? '', /boom/)
  assert.deepEqual(result.problems, [])
  const tally = emptyTally()
  countJob(tally, result)
  countSkippedJobs(tally, 2, 'no root')
  assert.match(tallyLines('unit', tally)[0] ?? '', /^unit {4}4 passed, 2 failed, 4 skipped {2}/)
  assert.ok(tallyLines('unit', tally).includes('        skipped 1: no moon'))
})

test('a file that hangs is ended, and what it had finished counts', async () => {
  const { problems, events } = await runText(
    `test('quick', () => {})\ntest('slow', () => { for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000) })`,
    1500,
  )
  assert.deepEqual(problems, ['ran longer than 1.5 s and was ended'])
  assert.ok(events.length <= 1)
})

test('a file that does not load, holds no test, or kills itself is a failure', async () => {
  const [broken, empty, killed] = await Promise.all([
    runText('import "./not-there.mjs"'),
    runText(''),
    runText(`test('gone', () => { process.kill(process.pid, 'SIGKILL') })`),
  ])
  assert.equal(broken.problems.length, 1)
  assert.match(broken.output, /not-there/)
  assert.deepEqual(empty.problems, ['holds no test'])
  assert.deepEqual(killed.problems, ['ended with SIGKILL'])
})

test('a process that was left running is a failure, and is ended', async () => {
  const { problems, output } = await runText(`
    import { spawn } from 'node:child_process'
    test('leaves', () => {
      const child = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' })
      child.unref()
      console.log('pid=' + child.pid)
    })
  `)
  assert.match(problems.join(), /^left behind process \d+: sleep 300$/)
  const pid = Number(/pid=(\d+)/.exec(output)?.[1])
  const isGone = (): boolean => {
    try {
      process.kill(pid, 0)
      return false
    } catch {
      return true
    }
  }
  for (let wait = 0; wait < 100 && !isGone(); wait += 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
  assert.ok(isGone())
})

const isRoot = process.getuid?.() === 0
test('a mount that was left is a failure, and the machine never sees it', {
  skip: !isRoot && 'not root',
}, async () => {
  const { problems, output } = await runText(`
    import { execFileSync } from 'node:child_process'
    import { mkdirSync } from 'node:fs'
    import { tmpdir } from 'node:os'
    test('leaves', () => {
      const place = tmpdir() + '/left'
      mkdirSync(place)
      execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', place])
      console.log('at=' + place)
    })
  `)
  const place = /at=(.+)/.exec(output)?.[1] ?? ''
  assert.deepEqual(problems, [`left behind mount ${place} tmpfs`])
  assert.ok(!mountTable().some(({ target }) => target === place))
})

test("what root's tests see of pools is their own", { skip: !isRoot && 'not root' }, async () => {
  const text = `
    import { readdirSync, writeFileSync } from 'node:fs'
    test('alone', () => {
      if (readdirSync('/run/guestmemfs').length > 0) throw new Error('somebody was here')
      writeFileSync('/run/guestmemfs/mine', '')
    })
  `
  for (const { events } of [await runText(text), await runText(text)])
    assert.deepEqual(
      events.map(({ outcome }) => outcome),
      ['passed'],
    )
})
