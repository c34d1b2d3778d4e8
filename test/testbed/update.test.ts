/** Owns the scenario `update` as a test of the tier `testbed`. */
import { update } from '../../testbed/scenarios/update.ts'
import { testScenario } from './support.ts'

testScenario('update', update)
