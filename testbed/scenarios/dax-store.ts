/**
 * The dax store on a real carve-out: refusals, guests that map their RAM, a server that dies, and a kexec
 * that keeps every byte in place. The assertions are in testbed/programs/memory/exercise.ts.
 */
import { kexecByHand } from '../scenario/by-hand.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

const EXERCISE = '/opt/testbed/guestmemfs/testbed/programs/memory/exercise.ts'
const exercise = (step: string): string => `node ${EXERCISE} ${step}`

export const daxStore: Scenario = {
  about: 'the dax store alone: devices, holders, zeroing, a dying server, and a kexec',
  tier: 'long',
  memory: '4G',
  append: CARVE_OUT,
  async run(stage) {
    const { host, phase, keep } = stage
    const step = (name: string, words = '') =>
      phase(name, async () => keep(name, await host.json(exercise(`${name} ${words}`))))
    await step('refusals')
    await step('erase')
    await step('live')
    const crash = await phase('crash', () =>
      host.json<{ guest: number }>(`${exercise('crash')} || [ $? = 137 ]`),
    )
    keep('crash', crash)
    await step('adopt', String(crash.guest))
    await kexecByHand(stage)
    await step('after-kexec')
  },
}
