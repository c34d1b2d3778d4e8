/**
 * Runs a scenario, once more where the emulator failed, and notes that in the ledger and among the runs of
 * this tree. Where the emulator fails twice, the result is a failure, as nothing was proven.
 */
import { noteTreeRun, treeRunsFile } from '../tree-runs.ts'
import { noteRun } from './ledger.ts'
import type { Summary } from './recorder.ts'
import { type Outcome, type RunOptions, runScenario } from './run.ts'
import type { Scenario } from './scenario.ts'

export interface TrustedOutcome<R> extends Outcome<R> {
  /** The first run's, where the emulator failed in it. */
  readonly emulator: Summary | undefined
}

/** `run`: runs a scenario once. Throws `UsageError` as `run` does. */
export async function runTrusted<R>(
  name: string,
  scenario: Scenario<R>,
  options: RunOptions,
  say: (line: string) => void,
  run: typeof runScenario = runScenario,
): Promise<TrustedOutcome<R>> {
  const file = treeRunsFile()
  const startMs = performance.now()
  const outcome = await repeatedRun(
    () => run(name, scenario, options),
    (reason) => say(`${name}: the emulator failed (${reason}); once more`),
  )
  const { summary, emulator } = outcome
  if (isAsRegistered(options))
    noteTreeRun(file, {
      scenario: name,
      verdict: summary.verdict,
      isRepeated: emulator !== undefined,
      ...(summary.failure === undefined ? {} : { failure: `${summary.failure} (${summary.folder})` }),
      seconds: Math.round((performance.now() - startMs) / 1000),
    })
  return outcome
}

async function repeatedRun<R>(
  run: () => Promise<Outcome<R>>,
  sayAgain: (reason: string | undefined) => void,
): Promise<TrustedOutcome<R>> {
  const first = await run()
  note(first.summary)
  if (first.summary.verdict !== 'emulator') return { ...first, emulator: undefined }
  sayAgain(first.summary.emulator)
  const second = await run()
  note(second.summary)
  if (second.summary.verdict !== 'emulator') return { ...second, emulator: first.summary }
  const failure = `the emulator failed twice, so nothing is proven: ${second.summary.emulator}`
  return { ...second, summary: { ...second.summary, verdict: 'failed', failure }, emulator: first.summary }
}

/** With the kernels, the memory and the words that the scenario itself names. */
const isAsRegistered = ({ kernel, nextKernel, memory, words = [] }: RunOptions): boolean =>
  kernel === undefined && nextKernel === undefined && memory === undefined && words.length === 0

function note({ scenario, verdict, emulator }: Summary): void {
  noteRun({
    at: new Date().toISOString(),
    scenario,
    verdict,
    ...(emulator === undefined ? {} : { emulator }),
  })
}
