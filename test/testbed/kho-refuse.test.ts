/** Owns the scenario `kho-refuse` as a test of the tier `testbed`. */
import { khoRefuse } from '../../testbed/scenarios/kho-refuse.ts'
import { testScenario } from './support.ts'

testScenario('kho-refuse', khoRefuse)
