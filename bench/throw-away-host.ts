/** Runs scenarios of the testbed for the figures of a bench. */
import type { Summary } from '../testbed/scenario/recorder.ts'
import type { Scenario } from '../testbed/scenario/scenario.ts'
import { runTrusted } from '../testbed/scenario/trusted-run.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

export interface Measurement<R> {
  readonly figures: R
  readonly summary: Summary
}

/**
 * Throws the host's failure, with the folder of its consoles; the summary in it has the figures until then.
 */
export async function measureIn<R>(name: string, scenario: Scenario<R>): Promise<Measurement<R>> {
  const { summary, result } = await runTrusted(name, scenario, {}, say)
  const { failure, folder } = summary
  // A guest that an update broke fails a run, even if its figures are complete.
  if (failure !== undefined || result === undefined)
    throw new Error(`${failure} (consoles and logs: ${folder})`)
  return { figures: result, summary }
}

/** Settings of a result: where it was measured. */
export const hostSettings = ({ accelerator, boots }: Summary): Record<string, string> => ({
  accelerator,
  kernels: [...new Set(boots.map(({ release }) => release))].join(' '),
})
