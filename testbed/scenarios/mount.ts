/**
 * The basic use of the file system, on a host of its own: the usage section of guestmemfs-seed.rst as it is
 * typed, with a guest on real KVM, and the server killed underneath it. No kexec here.
 */
import { seedCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { restoreSeed, saveSeed, startSeed } from '../scenario/by-hand.ts'
import { expectHugePages } from '../scenario/mapping.ts'
import { expectClean, killServer } from '../scenario/pool.ts'
import type { Scenario } from '../scenario/scenario.ts'

const QEMU = `exec ${seedCommand()}`

export const mount: Scenario = {
  about:
    'the seed, typed: mount, truncate, boot a KVM guest from it, save, restore; the server killed on the way',
  tier: 'long',
  memory: '3G',
  append: 'guestmemfs=1G',
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, phase, expect, guest } = stage
    await host.run('echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled; mkdir -p /mnt/guestmemfs')
    await phase('mount', () => host.run('guestmemfs mount guestmemfs /mnt/guestmemfs'))
    await host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram')
    const blocks = await host.run('df -B2M --output=size,used,avail /mnt/guestmemfs | tail -1 | xargs')
    expect('blocks: all, used, free', blocks, '512 250 262')

    await expectHugePages(stage, 'mapped', await startSeed(stage, QEMU), 'guest-ram')

    await phase('server killed', async () => {
      await killServer(host)
      await host.run('stat /mnt/guestmemfs/guest-ram')
      await guest('guest').waitForTicks(5)
    })
    await saveSeed(stage)
    await restoreSeed(stage, QEMU)
    await expectClean(stage)
  },
}
