/** Owns the scenario `systemd-kho` as a test of the tier `long`. */
import { systemdKho } from '../../../testbed/scenarios/systemd-kho.ts'
import { testScenario } from '../support.ts'

testScenario('systemd-kho', systemdKho)
