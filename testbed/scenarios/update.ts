/**
 * Owns the product's reason to exist: one command, typed on a host with running guests, and the host has a newer kernel while
 * the guests go on. What boots does what a machine's own boot would: it mounts, and lets saved guests go on.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

/** The serial port goes where the next QEMU finds it again, in the next kernel, too. */
export const QEMU = `qemu-system-x86_64 -machine q35,memory-backend=pc.ram -accel kvm -cpu host -m 500M \\
  -object memory-backend-file,id=pc.ram,size=500M,mem-path=/mnt/guestmemfs/guest-ram,share=on,prealloc=off \\
  -nodefaults -display none -kernel /opt/testbed/files/tiny-guest \\
  -chardev file,id=serial,path=/run/testbed/logs/guest,append=on -serial chardev:serial`

/** Under emulation on a busy machine, mounting and resuming take their time. */
const PATIENCE_MS = 240_000
const MOUNT = 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax'

export const update: Scenario = {
  about:
    "one command: `guestmemfs live-update --kernel`, from an older kernel into a newer one, under a guest's feet",
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '4G',
  timeoutMs: 900_000,
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run({ host, first, next, phase, keep, guest }) {
    const ram = guest('guest')
    const liveUpdate = `guestmemfs live-update --kernel ${next.vmlinuz} --initrd ${next.initramfs} --reuse-cmdline`
    await phase('mount', () => host.run(`mkdir -p /mnt/guestmemfs; ${MOUNT}`))
    await host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram')
    await host.start('run', `exec guestmemfs run --name guest -- ${QEMU}`)
    await phase('guest runs', () => ram.waitForTicks(20))

    await host.atBoot(`mkdir -p /mnt/guestmemfs; ${MOUNT} --resume`, { alone: true })
    keep('plan', await phase('dry run', () => host.run(`${liveUpdate} --dry-run 2>&1`)))
    await ram.waitForTicks(2)
    await phase('live update', () => host.jump(liveUpdate))
    await phase('guest runs on', () => ram.waitForTicks(20, PATIENCE_MS))

    await host.log('at-boot').waitFor(/BLACKOUT\n.* updated/)
    keep('report', JSON.parse(await host.run('guestmemfs report --json')))
    keep('told', await host.run('guestmemfs report'))
    keep('kernels', [first.release, await host.run('uname -r')])
    keep('pool', await host.run('guestmemfs status; ls -l /mnt/guestmemfs'))
    await host.run('touch /mnt/guestmemfs/thawed')
  },
}
