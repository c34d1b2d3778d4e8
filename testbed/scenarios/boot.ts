/** The minimum of a hypervisor host: the chosen kernel, the programs, and KVM that runs a guest. */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { Scenario } from '../scenario/scenario.ts'

const QEMU = guestCommand({
  name: 'guest',
  mebibytes: 32,
  ram: 'anonymous',
  kernel: 'tiny-guest',
  serial: 'stdio',
})

export const boot: Scenario = {
  about: 'the host boots, has its tools, runs a guest on KVM, and says what it is',
  // Words for kernels that have a Live Update Orchestrator; others ignore them.
  append: 'kho=on liveupdate=on',
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 8 }) }),
  async run({ host, first, phase, keep, expect, guest }) {
    expect('kernel', await host.run('uname -r'), first.release)
    keep('uptime s', Number(await host.run('cut -d" " -f1 /proc/uptime')))
    keep('memory MB', Number(await host.run("free --mega | awk '/^Mem/ { print $2 }'")))
    keep('modules', await host.run("lsmod | awk 'NR > 1 { print $1 }' | xargs"))
    keep('live update', await host.run('ls -l /dev/liveupdate 2>/dev/null || echo none'))
    expect('qemu', await host.run('qemu-system-x86_64 --version | head -1'), /^QEMU emulator version \d/)
    expect('kexec', await host.run('kexec --version'), /^kexec-tools \d/)
    await phase('node', async () => expect('node', await host.run('node --version'), /^v\d/))
    await phase('kvm', async () => {
      await host.start('guest', `exec ${QEMU}`)
      await guest('guest').waitForTicks(5)
    })
  },
}
