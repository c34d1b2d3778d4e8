/** Owns the scenario `systemd` as a test of the tier `long`. */
import { systemd } from '../../../testbed/scenarios/systemd.ts'
import { testScenario } from '../support.ts'

testScenario('systemd', systemd)
