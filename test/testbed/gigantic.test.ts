/** Owns the scenario `gigantic` as a test of the tier `testbed`. */
import { gigantic } from '../../testbed/scenarios/gigantic.ts'
import { testScenario } from './support.ts'

testScenario('gigantic', gigantic)
