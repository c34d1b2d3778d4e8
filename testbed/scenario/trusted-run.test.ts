/** Tests of which runs are repeated, and of their results. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Summary, Verdict } from './recorder.ts'
import type { RunOptions, runScenario } from './run.ts'
import type { Scenario } from './scenario.ts'

const home = mkdtempSync(join(tmpdir(), 'trusted-'))
process.env.XDG_CACHE_HOME = home
const { runTrusted } = await import('./trusted-run.ts')
const { readLedger } = await import('./ledger.ts')
const { readTreeRuns, treeRunsFile } = await import('../tree-runs.ts')
after(() => rmSync(home, { recursive: true }))

const scenario: Scenario = { about: 'nothing', run: async () => {} }

/** Runs that end as `verdicts` say, and the result of `runTrusted`. */
const runs = (...verdicts: Verdict[]) => runsWith({}, ...verdicts)

async function runsWith(options: RunOptions, ...verdicts: Verdict[]) {
  const left = [...verdicts]
  const said: string[] = []
  const run: typeof runScenario = async (name) => {
    const verdict = left.shift() as Verdict
    const emulator = verdict === 'emulator' ? { failure: 'it is gone', emulator: 'an int3' } : {}
    const nothing = { boots: [], phases: [], guests: {}, asserted: {}, kept: {}, accelerator: 'tcg' as const }
    return {
      summary: { scenario: name, verdict, ...emulator, ...nothing } satisfies Summary,
      result: undefined,
    }
  }
  const before = readLedger().length
  const counted = readTreeRuns(treeRunsFile()).length
  const outcome = await runTrusted('nothing', scenario, options, (line) => said.push(line), run)
  const noted = readLedger()
    .slice(before)
    .map(({ verdict }) => verdict)
  const ofTree = readTreeRuns(treeRunsFile())
    .slice(counted)
    .map(({ verdict, isRepeated }) => [verdict, isRepeated])
  return { outcome, said, noted, left, ofTree }
}

test('a run that passed or failed is run once', async () => {
  for (const verdict of ['passed', 'failed'] as const) {
    const { outcome, said, noted } = await runs(verdict)
    assert.deepEqual(
      [outcome.summary.verdict, outcome.emulator, said, noted],
      [verdict, undefined, [], [verdict]],
    )
  }
})

test('a run that the emulator failed is repeated once, both are noted, and that is told', async () => {
  const { outcome, said, noted } = await runs('emulator', 'passed')
  assert.equal(outcome.summary.verdict, 'passed')
  assert.equal(outcome.emulator?.emulator, 'an int3')
  assert.deepEqual(noted, ['emulator', 'passed'])
  assert.match(said.join(), /nothing: the emulator failed \(an int3\); once more/)
})

test('what the emulator fails twice is a failure, and there is no third time', async () => {
  const { outcome, noted, left } = await runs('emulator', 'emulator', 'passed')
  assert.equal(outcome.summary.verdict, 'failed')
  assert.match(outcome.summary.failure ?? '', /the emulator failed twice, so nothing is proven: an int3/)
  assert.deepEqual(noted, ['emulator', 'emulator'])
  assert.equal(left.length, 1)
})

test('a campaign counts a run with its repeat once, and none with another kernel or with words', async () => {
  assert.deepEqual((await runs('passed')).ofTree, [['passed', false]])
  assert.deepEqual((await runs('failed')).ofTree, [['failed', false]])
  assert.deepEqual((await runs('emulator', 'passed')).ofTree, [['passed', true]])
  assert.deepEqual((await runs('emulator', 'emulator')).ofTree, [['failed', true]])
  for (const options of [{ kernel: '7.3' }, { nextKernel: '7.3' }, { memory: '4G' }, { words: ['a'] }])
    assert.deepEqual((await runsWith(options, 'failed')).ofTree, [])
})
