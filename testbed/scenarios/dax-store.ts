/**
 * Owns the dax store's proof on a carve-out of a host's own: refusals, guests that map their RAM, a server that dies
 * in the middle, and a kexec after which every byte is where it was. The steps are in testbed/programs/memory/exercise.ts.
 */
import type { Scenario } from '../scenario/scenario.ts'

const EXERCISE = '/opt/testbed/guestmemfs/testbed/programs/memory/exercise.ts'
const exercise = (step: string): string => `node ${EXERCISE} ${step}`

export const daxStore: Scenario = {
  about: 'the dax store alone: devices, holders, zeroing, a dying server, and a kexec',
  memory: '4G',
  append: 'memmap=1G%4G-1+0xefffffff modprobe.blacklist=kmem',
  async run({ host, next, phase, keep }) {
    const step = (name: string, words = '') =>
      phase(name, async () => keep(name, JSON.parse(await host.run(exercise(`${name} ${words}`)))))
    await step('refusals')
    await step('erase')
    await step('live')
    const guest = await phase('crash', async () => {
      const said = await host.run(`${exercise('crash')} || [ $? = 137 ]`)
      keep('crash', JSON.parse(said))
      return (JSON.parse(said) as { guest: number }).guest
    })
    await step('adopt', String(guest))
    await phase('load next kernel', () =>
      host.run(`kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --reuse-cmdline`),
    )
    await phase('kexec', () => host.jump('sync; kexec -e'))
    await step('after-kexec')
  },
}
