/** Owns the scenario `kexec` as a test of the tier `testbed`. */
import { kexec } from '../../testbed/scenarios/kexec.ts'
import { testScenario } from './support.ts'

testScenario('kexec', kexec)
