/** Owns the scenario `devmem-update` as a test of the tier `testbed`. */
import { devmemUpdate } from '../../testbed/scenarios/devmem-update.ts'
import { testScenario } from './support.ts'

testScenario('devmem-update', devmemUpdate)
