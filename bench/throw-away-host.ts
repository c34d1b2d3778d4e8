/** Runs of a scenario of the testbed whose figures a bench is made of. */
import type { Summary } from '../testbed/scenario/recorder.ts'
import type { Scenario } from '../testbed/scenario/scenario.ts'
import { runTrusted } from '../testbed/scenario/trusted-run.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

export interface Measurement<R> {
  readonly figures: R
  readonly summary: Summary
}

/**
 * Throws what the host failed with, and where its consoles are; in the summary beside them are the figures
 * that were found until then.
 */
export async function measureIn<R>(name: string, scenario: Scenario<R>): Promise<Measurement<R>> {
  const { summary, result } = await runTrusted(name, scenario, {}, say)
  const { failure, folder } = summary
  // A guest that was broken by an update fails a run whose figures are complete.
  if (failure !== undefined || result === undefined)
    throw new Error(`${failure} (consoles and logs: ${folder})`)
  return { figures: result, summary }
}

/** Settings of a result: where it was measured. */
export const hostSettings = ({ accelerator, boots }: Summary): Record<string, string> => ({
  accelerator,
  kernels: [...new Set(boots.map(({ release }) => release))].join(' '),
})
