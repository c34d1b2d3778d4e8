/** Owns the least a hypervisor host must be: our kernel, our tools, and KVM that runs a guest. */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { Scenario } from '../scenario/scenario.ts'

const QEMU = `exec qemu-system-x86_64 -machine q35 -accel kvm -cpu host -m 32M \\
  -nodefaults -display none -serial stdio -kernel /opt/testbed/files/tiny-guest`

export const boot: Scenario = {
  about: 'the host boots, has its tools, runs a guest on KVM, and says what it is',
  // Words for kernels that have a Live Update Orchestrator; others pass them over.
  append: 'kho=on liveupdate=on',
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 8 }) }),
  async run({ host, phase, keep, guest }) {
    keep('kernel', await host.run('uname -r'))
    keep('uptime s', Number(await host.run('cut -d" " -f1 /proc/uptime')))
    keep('memory MB', Number(await host.run("free --mega | awk '/^Mem/ { print $2 }'")))
    keep('modules', await host.run("lsmod | awk 'NR > 1 { print $1 }' | xargs"))
    keep('live update', await host.run('ls -l /dev/liveupdate 2>/dev/null || echo none'))
    keep('qemu', await host.run('qemu-system-x86_64 --version | head -1'))
    keep('kexec', await host.run('kexec --version'))
    await phase('node', async () => keep('node', await host.run('node --version')))
    await phase('kvm', async () => {
      await host.start('guest', QEMU)
      await guest('guest').waitForTicks(5)
    })
  },
}
