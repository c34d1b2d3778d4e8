/** Owns the scenario `hidden` as a test of the tier `testbed`. */
import { hidden } from '../../testbed/scenarios/hidden.ts'
import { testScenario } from './support.ts'

testScenario('hidden', hidden)
