/** Owns the scenario `kho-abort` as a test of the tier `testbed`. */
import { khoAbort } from '../../testbed/scenarios/kho-abort.ts'
import { testScenario } from './support.ts'

testScenario('kho-abort', khoAbort)
