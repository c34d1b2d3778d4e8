/** Owns the scenario `kho` as a test of the tier `testbed`. */
import { kho } from '../../testbed/scenarios/kho.ts'
import { testScenario } from './support.ts'

testScenario('kho', kho)
