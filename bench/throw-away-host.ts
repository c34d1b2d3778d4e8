/** Runs of a scenario of the testbed whose figures a bench is made of. */
import type { Summary } from '../testbed/scenario/recorder.ts'
import { runScenario } from '../testbed/scenario/run.ts'
import type { Scenario } from '../testbed/scenario/scenario.ts'

const CHOICES = { kernel: undefined, nextKernel: undefined, memory: undefined, keep: false, words: [] }

export interface Measurement<R> {
  readonly figures: R
  readonly summary: Summary
}

/**
 * Throws what the host failed with, and where its consoles are; in the summary beside them are the
 * figures that were found until then.
 */
export async function measureIn<R>(name: string, scenario: Scenario<R>): Promise<Measurement<R>> {
  const { summary, result } = await runScenario(name, scenario, CHOICES)
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
