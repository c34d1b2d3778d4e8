/** Owns the scenario `devmem` as a test of the tier `testbed`. */
import { devmem } from '../../testbed/scenarios/devmem.ts'
import { testScenario } from './support.ts'

testScenario('devmem', devmem)
