/** Owns the scenario `kho-many` as a test of the tier `long`. */
import { khoMany } from '../../../testbed/scenarios/kho-many.ts'
import { testScenario } from '../support.ts'

testScenario('kho-many', khoMany)
