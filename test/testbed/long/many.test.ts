/** Owns the scenario `many` as a test of the tier `long`. */
import { many } from '../../../testbed/scenarios/many.ts'
import { testScenario } from '../support.ts'

testScenario('many', many)
