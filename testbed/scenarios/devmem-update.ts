/**
 * Owns the live update of a host whose guest lies in reserved memory: the line that is typed is the seed's, its user is an ordinary
 * one, and neither knows of the window. From an older kernel into a newer one.
 */
import assert from 'node:assert/strict'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { RESERVED } from './carve-out.ts'
import { QEMU } from './update.ts'

const PATIENCE_MS = 240_000
const MOUNT = 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=devmem'
const PID = `guestmemfs vms --json | sed -E 's/.*"pid":([0-9]+).*/\\1/'`

export const devmemUpdate: Scenario = {
  about: "a live update of the kernel under a guest in reserved memory, started as an ordinary user's",
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '4G',
  timeoutMs: 900_000,
  append: RESERVED,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, first, next, phase, keep, guest } = stage
    const ram = guest('guest')
    const files = `--kernel ${next.vmlinuz} --initrd ${next.initramfs}`
    await phase('mount', () =>
      host.run(`mkdir -p /mnt/guestmemfs; ${MOUNT}; chmod 1777 /mnt/guestmemfs /run/testbed/logs`),
    )
    await host.start('run', `exec guestmemfs run --name guest --user 1000 -- ${QEMU}`)
    await phase('guest runs', () => ram.waitForTicks(20))
    keep('runs as', await checkRights(stage))

    const lost = await phase('without the range', () =>
      host.run(`! guestmemfs live-update ${files} --append 'console=ttyS0 root=/dev/vda' 2>&1`),
    )
    assert.match(lost, /reserved range of 1G at 4G holds the guests, .* give it memmap=1G\$4G/)
    const busy = await host.run('! truncate -s 2M /mnt/guestmemfs/guest-ram 2>&1')
    assert.match(busy, /busy/, 'RAM that a guest maps was cut')
    await host.atBoot(`chmod 1777 /run/testbed/logs; mkdir -p /mnt/guestmemfs; ${MOUNT}; guestmemfs resume`)
    await phase('live update', () => host.jump(`guestmemfs live-update ${files} --reuse-cmdline`))
    await phase('guest runs on', () => ram.waitForTicks(20, PATIENCE_MS))

    await host.log('at-boot').waitFor(/BLACKOUT\n.* updated/)
    keep('report', JSON.parse(await host.run('guestmemfs report --json')))
    keep('kernels', [first.release, await host.run('uname -r')])
    keep('runs as', await checkRights(stage))
    await host.run('touch /mnt/guestmemfs/thawed; guestmemfs fsck guestmemfs')
  },
}

/** Opening /dev/mem took a right that nothing else has, and that nobody has kept. */
async function checkRights({ host }: Stage): Promise<string> {
  const status = await host.run(`grep -E '^(Uid|Gid|Cap(Prm|Eff|Amb)):' /proc/$(${PID})/status | xargs`)
  assert.match(status, /^Uid: 1000 1000 1000 1000 Gid: 1000 1000 1000 1000 CapPrm: 0+ CapEff: 0+ CapAmb: 0+$/)
  const window = await host.run(`grep /dev/mem /proc/$(${PID})/maps`)
  assert.equal(window.split('\n').length, 1, `it maps more than its window: ${window}`)
  return `${status}; ${window}`
}
