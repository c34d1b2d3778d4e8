/** Owns the scenario `refuse` as a test of the tier `testbed`. */
import { refuse } from '../../testbed/scenarios/refuse.ts'
import { testScenario } from './support.ts'

testScenario('refuse', refuse)
