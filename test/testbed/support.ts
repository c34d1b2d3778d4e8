/** Owns running a scenario of the testbed as a test: it passes, or the test says what failed and where the consoles are. */
import { test } from 'node:test'
import { runScenario } from '../../testbed/scenario/run.ts'
import type { Scenario } from '../../testbed/scenario/scenario.ts'

const AS_THE_SCENARIO_SAYS = { kernel: undefined, nextKernel: undefined, memory: undefined }

/** One test, the whole file's: the runner of the tier bounds its time, and the scenario does so itself. */
export function testScenario(name: string, scenario: Scenario): void {
  test(`${name}: ${scenario.about}`, async () => {
    const {
      summary: { failure, folder },
    } = await runScenario(name, scenario, {
      ...AS_THE_SCENARIO_SAYS,
      keep: false,
      words: [],
    })
    if (failure !== undefined) throw new Error(`${failure}\nconsoles and logs: ${folder}`)
  })
}
