/**
 * The live update of a host whose guest lies in reserved memory, from an older kernel into a newer one. The
 * typed line is the ordinary one, for an unprivileged user, and names no window.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { expectUpdated, filesOf, liveUpdate } from '../scenario/live-update.ts'
import { expectClean, onlyVm, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { RESERVED } from './carve-out.ts'

const PATIENCE_MS = 240_000
const MOUNT = 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=devmem'
const QEMU = guestCommand({ name: 'guest', mebibytes: 500, kernel: 'tiny-guest' })

export const devmemUpdate: Scenario = {
  about: "a live update of the kernel under a guest in reserved memory, started as an ordinary user's",
  tier: 'testbed',
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '4G',
  timeoutMs: 900_000,
  append: RESERVED,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, next, phase, expect, guest } = stage
    const ram = guest('guest')
    await phase('mount', () =>
      host.run(`mkdir -p /mnt/guestmemfs; ${MOUNT}; chmod 1777 /mnt/guestmemfs /run/testbed/logs`),
    )
    await host.start('run', `exec guestmemfs run --name guest --user 1000 --trust-devmem -- ${QEMU}`)
    await phase('guest runs', () => ram.waitForTicks(20))
    await expectRights(stage, 'before')

    const elsewhere = `guestmemfs live-update ${filesOf(next)} --append 'console=ttyS0 root=/dev/vda'`
    const lost = await phase('without the range', () => refusal(host, elsewhere))
    expect('without the range', lost, /reserved range of 1G at 4G holds the guests, .* give it memmap=1G\$4G/)
    const cut = await refusal(host, 'truncate -s 2M /mnt/guestmemfs/guest-ram')
    expect('mapped RAM cut', cut, /busy/)
    await host.atBoot(`chmod 1777 /run/testbed/logs; mkdir -p /mnt/guestmemfs; ${MOUNT}; guestmemfs resume`)
    await phase('live update', () => host.jump(liveUpdate(next)))
    await phase('guest runs on', () => ram.waitForTicks(20, PATIENCE_MS))

    await host.log('at-boot').waitFor(/BLACKOUT\n.* updated/)
    await expectUpdated(stage, ['guest'])
    await expectRights(stage, 'after')
    await host.run('touch /mnt/guestmemfs/thawed')
    await expectClean(stage)
  },
}

/** QEMU runs as its user, without the capability by which it opened /dev/mem. */
async function expectRights({ host, expect }: Stage, when: string): Promise<void> {
  const { pid } = await onlyVm(host)
  const status = await host.run(`grep -E '^(Uid|Gid|Cap(Prm|Eff|Amb)):' /proc/${pid}/status | xargs`)
  expect(
    `runs as, ${when}`,
    status,
    /^Uid: 1000 1000 1000 1000 Gid: 1000 1000 1000 1000 CapPrm: 0+ CapEff: 0+ CapAmb: 0+$/,
  )
  const windows = await host.run(`grep /dev/mem /proc/${pid}/maps`)
  expect(`maps of /dev/mem, ${when}`, windows, /^[^\n]+$/)
}
