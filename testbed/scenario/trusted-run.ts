/**
 * Runs a scenario, once more where the emulator failed, and notes that in the ledger. Where the emulator
 * fails twice, the result is a failure, as nothing was proven.
 */
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
  const first = await run(name, scenario, options)
  note(first.summary)
  if (first.summary.verdict !== 'emulator') return { ...first, emulator: undefined }
  say(`${name}: the emulator failed (${first.summary.emulator}); once more`)
  const second = await run(name, scenario, options)
  note(second.summary)
  if (second.summary.verdict !== 'emulator') return { ...second, emulator: first.summary }
  const failure = `the emulator failed twice, so nothing is proven: ${second.summary.emulator}`
  return { ...second, summary: { ...second.summary, verdict: 'failed', failure }, emulator: first.summary }
}

function note({ scenario, verdict, emulator }: Summary): void {
  noteRun({
    at: new Date().toISOString(),
    scenario,
    verdict,
    ...(emulator === undefined ? {} : { emulator }),
  })
}
