/**
 * The dax store's proof on a carve-out of a host's own: refusals, guests that map their RAM, a server that
 * dies in the middle, and a kexec after which every byte is where it was. What is asserted is in
 * testbed/programs/memory/exercise.ts; a step that disagrees fails.
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
