/** Owns the scenario `torn` as a test of the tier `long`. */
import { torn } from '../../../testbed/scenarios/torn.ts'
import { testScenario } from '../support.ts'

testScenario('torn', torn)
