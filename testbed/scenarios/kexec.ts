/**
 * The seed's usage section as it is typed, on a carve-out of a stock kernel: mount, touch, truncate, boot a
 * KVM guest from it, save it into the mount, freeze, kexec, mount again, restore. The seed preserves memory
 * by KHO, which a carve-out does not need; it has 100M for a file of 500M, which is one size here.
 */
import { seedCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { kexecByHand, restoreSeed, saveSeed, startSeed } from '../scenario/by-hand.ts'
import { mappingOf } from '../scenario/mapping.ts'
import { expectFrozen, expectThawed } from '../scenario/pool.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

const QEMU = `exec ${seedCommand()}`

export const kexec: Scenario = {
  about: 'the seed, typed, on a carve-out: a KVM guest, its RAM and its state file survive a real kexec',
  tier: 'testbed',
  memory: '4G',
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, phase, expect } = stage
    const expectLargePages = async (what: string, pid: number) =>
      expect(what, (await mappingOf(host, pid, '^/dev/guestmemfs/')).kernelPageKib, 2048)
    await host.run('mkdir -p /mnt/guestmemfs')
    await phase('mount', () => host.run(MOUNT))
    await phase('touch, truncate', () =>
      host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram'),
    )
    const device = await host.run('readlink /mnt/guestmemfs/guest-ram')
    expect('guest RAM is', device, /^\/dev\/guestmemfs\/guestmemfs\/\d+$/)
    await expectLargePages('mapped by, KiB', await startSeed(stage, QEMU))

    await saveSeed(stage)
    await phase('freeze', () => host.run('guestmemfs freeze'))
    await kexecByHand(stage, `mkdir -p /mnt/guestmemfs; ${MOUNT}`)

    await phase('mount again', () => host.log('at-boot').waitFor(/on \/mnt\/guestmemfs, .* \(found again\)/))
    await expectFrozen(stage, 'dax')
    await expectLargePages('mapped again by, KiB', await restoreSeed(stage, QEMU))
    await expectThawed(stage)
  },
}
