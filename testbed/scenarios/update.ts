/**
 * The main use of the product: one command on a host with running guests gives it a newer kernel, and the
 * guests go on. The next boot mounts the pool and resumes saved guests, as a machine's own boot would.
 * Returns the update's report.
 */
import type { UpdateReport } from '../../src/liveupdate/report/update-report.ts'
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { expectReady, expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { expectClean, onlyVm, poolStatus } from '../scenario/pool.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

/** Under emulation on a busy machine, mount and resume are slow. */
const PATIENCE_MS = 240_000
const QEMU = guestCommand({ name: 'guest', mebibytes: 500, kernel: 'tiny-guest' })

export const update: Scenario<UpdateReport> = {
  about:
    "one command: `guestmemfs live-update --kernel`, from an older kernel into a newer one, under a guest's feet",
  tier: 'kexec',
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '4G',
  timeoutMs: 900_000,
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, next, phase, keep, expect, guest } = stage
    const ram = guest('guest')
    await phase('mount', () => host.run(`mkdir -p /mnt/guestmemfs; ${MOUNT}`))
    await host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram')
    await host.start('run', `exec guestmemfs run --name guest -- ${QEMU}`)
    await phase('guest runs', () => ram.waitForTicks(20))

    await host.atBoot(`mkdir -p /mnt/guestmemfs; ${MOUNT} --resume`, { alone: true })
    await expectReady(stage, liveUpdate(next))
    await ram.waitForTicks(2)
    await phase('live update', () => host.jump(liveUpdate(next)))
    await phase('guest runs on', () => ram.waitForTicks(20, PATIENCE_MS))

    await host.log('at-boot').waitFor(/BLACKOUT\n.* updated/)
    const report = await expectUpdated(stage, ['guest'])
    keep('told', await host.run('guestmemfs report'))
    expect('guest', (await onlyVm(host)).state, 'running')
    const { identity } = await poolStatus(host)
    expect('pool', { store: identity.store, frozen: identity.frozen }, { store: 'dax', frozen: false })
    expect('files', await host.run('ls /mnt/guestmemfs'), 'guest-ram')
    await host.run('touch /mnt/guestmemfs/thawed')
    await expectClean(stage)
    return report
  },
}
