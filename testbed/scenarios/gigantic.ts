/**
 * Owns pages of 1 GiB: a pool with guests of both sizes, what the mapping of each really is, before and after a live update; and what
 * is refused where such pages cannot be.
 */
import assert from 'node:assert/strict'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { refuse } from './refuse-pools.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30
/** Two whole frames and half of one; and a region that has none. */
const APPEND = 'memmap=2560M%4G-1+0xefffffff memmap=512M%6656M-1+0xefffffff modprobe.blacklist=kmem'
const mount = (more: string) =>
  `mkdir -p /mnt/guestmemfs; guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax,region=0x100000000${more}`

const qemu = (name: string, mebibytes: number, file: string) =>
  `qemu-system-x86_64 -machine q35 -accel kvm -cpu host -m ${mebibytes}M \\
  -object memory-backend-file,id=pc.ram,size=${mebibytes}M,mem-path=/mnt/guestmemfs/${file},share=on,prealloc=off \\
  -nodefaults -display none -kernel /opt/testbed/files/tiny-guest \\
  -chardev file,id=serial,path=/run/testbed/logs/${name},append=on -serial chardev:serial`

interface Listed {
  readonly file: string
  readonly extents: number
  readonly mappings: readonly { readonly program: string; readonly kernelPageBytes: number }[]
}

export const gigantic: Scenario = {
  about: 'pages of 1 GiB by directory and by mount, beside pages of 2 MiB, verified, through a live update',
  memory: '6G',
  append: APPEND,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 32 }) }),
  async run(stage) {
    const { host, next, phase, keep, guest } = stage
    const other =
      'mkdir -p /mnt/other; guestmemfs mount other /mnt/other -o store=dax,region=0x1a0000000,align=1G'
    const tooSmall = /no aligned page of 1G fits into the pool, which begins at 0x1a0000000 and has 512M/
    await refuse(stage, { what: 'no room for such a page', command: other, says: tooSmall })
    await phase('mount', () => host.run(mount('')))
    await host.run(
      'cd /mnt/guestmemfs; mkdir big; setfattr -n trusted.guestmemfs.align -v 1G big; touch big/odd',
    )
    assert.match(await host.run('! truncate -s 500M /mnt/guestmemfs/big/odd 2>&1'), /Invalid argument/)
    await host.run(
      'rm /mnt/guestmemfs/big/odd; ! setfattr -n trusted.guestmemfs.align -v 3M /mnt/guestmemfs 2>/dev/null',
    )

    await host.start('run-small', `exec guestmemfs run --name small -- ${qemu('small', 128, 'small-ram')}`)
    await host.start('run-big', `exec guestmemfs run --name big -- ${qemu('big', 1024, 'big/ram')}`)
    await phase('guests run', () => Promise.all(['small', 'big'].map((name) => guest(name).waitForTicks(5))))
    keep('list', await host.run('guestmemfs list'))
    await checkPages(stage)
    assert.equal(await wholeFrames(stage), 1, 'the small guest broke a frame that the big one could have had')

    await host.atBoot(`${mount(',align=1G')}; guestmemfs resume`)
    const liveUpdate = `guestmemfs live-update --kernel ${next.vmlinuz} --initrd ${next.initramfs} --reuse-cmdline`
    await phase('live update', () => host.jump(liveUpdate))
    await host.log('at-boot').waitFor(/BLACKOUT[\s\S]*updated[\s\S]*updated/)
    await phase('guests run on', () =>
      Promise.all(['small', 'big'].map((name) => guest(name).waitForTicks(5))),
    )
    await checkPages(stage)

    await phase('by mount', () => host.run('cd /mnt/guestmemfs; touch all; truncate -s 1G all'))
    const map = JSON.parse(await host.run('getfattr -h --only-values -n guestmemfs.map /mnt/guestmemfs/all'))
    assert.equal(map.alignBytes, GIB)
    const full = await host.run('cd /mnt/guestmemfs; touch more; ! truncate -s 1G more 2>&1')
    assert.match(full, /No space left/)
    keep('frames', await wholeFrames(stage))
    keep('fsck', await host.run('guestmemfs fsck guestmemfs'))
  },
}

/** As the kernel has it for each guest's mapping. */
async function checkPages({ host }: Stage): Promise<void> {
  const [pool] = JSON.parse(await host.run('guestmemfs list --json')) as { ram: Listed[] }[]
  const pages = pool?.ram.map(({ file, mappings }) => [
    file,
    ...mappings
      .filter(({ program }) => program.startsWith('qemu'))
      .map(({ kernelPageBytes }) => kernelPageBytes),
  ])
  assert.deepEqual(pages?.toSorted(), [
    ['big/ram', GIB],
    ['small-ram', 2 * MIB],
  ])
}

async function wholeFrames({ host }: Stage): Promise<number> {
  const geometry = await host.run('getfattr --only-values -n guestmemfs.geometry /mnt/guestmemfs')
  return (JSON.parse(geometry) as { wholeFrames: number }).wholeFrames
}
