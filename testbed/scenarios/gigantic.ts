/**
 * Pages of 1 GiB: a pool with guests of both page sizes, the kernel's mapping of each, before and after a
 * live update; and refusals where such pages are impossible.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { expectClean, listPools, mapOf, poolStatus, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { refuse } from './refuse-pools.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30
/** Two whole frames and half of one; and a region that has none. */
const APPEND = 'memmap=2560M%4G-1+0xefffffff memmap=512M%6656M-1+0xefffffff modprobe.blacklist=kmem'
const mount = (more: string) =>
  `mkdir -p /mnt/guestmemfs; guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax,region=0x100000000${more}`

const GUESTS = { small: [128, 'small-ram'], big: [1024, 'big/ram'] } as const
const NAMES = Object.keys(GUESTS)

export const gigantic: Scenario = {
  about: 'pages of 1 GiB by directory and by mount, beside pages of 2 MiB, verified, through a live update',
  tier: 'testbed',
  memory: '6G',
  append: APPEND,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 32 }) }),
  async run(stage) {
    const { host, next, phase, keep, expect, guest } = stage
    const ticks = (count: number) => Promise.all(NAMES.map((name) => guest(name).waitForTicks(count)))
    await refuseTooSmall(stage)
    await phase('mount', () => host.run(mount('')))
    await refuseOddSizes(stage)
    await startGuests(stage)
    await phase('guests run', () => ticks(5))
    keep('list', await host.run('guestmemfs list'))
    await expectPages(stage, 'before')
    // The small guest must leave the frame whole that the big one needs.
    expect('whole frames left', await wholeFrames(stage), 1)

    await host.atBoot(`${mount(',align=1G')}; guestmemfs resume`)
    await phase('live update', () => host.jump(liveUpdate(next)))
    await host.log('at-boot').waitFor(/BLACKOUT[\s\S]*updated[\s\S]*updated/)
    await phase('guests run on', () => ticks(5))
    await expectUpdated(stage, NAMES)
    await expectPages(stage, 'after')

    await phase('by mount', () => host.run('cd /mnt/guestmemfs; touch all; truncate -s 1G all'))
    const { alignBytes } = await mapOf(host, 'all')
    expect('aligned by the mount', alignBytes, GIB)
    await host.run('touch /mnt/guestmemfs/more')
    expect('no frame left', await refusal(host, 'truncate -s 1G /mnt/guestmemfs/more'), /No space left/)
    expect('whole frames at the end', await wholeFrames(stage), 0)
    await expectClean(stage)
  },
}

async function refuseTooSmall(stage: Stage): Promise<void> {
  await refuse(stage, {
    what: 'no room for such a page',
    command:
      'mkdir -p /mnt/other; guestmemfs mount other /mnt/other -o store=dax,region=0x1a0000000,align=1G',
    says: /no aligned page of 1G fits into the pool, which begins at 0x1a0000000 and has 512M/,
  })
}

/** The server refuses sizes that are not multiples of the page size, and pages of 3 MiB. */
async function refuseOddSizes({ host, expect }: Stage): Promise<void> {
  await host.run(
    'cd /mnt/guestmemfs; mkdir big; setfattr -n trusted.guestmemfs.align -v 1G big; touch big/odd',
  )
  const size = await refusal(host, 'truncate -s 500M /mnt/guestmemfs/big/odd')
  expect('half a page', size, /Invalid argument/)
  await host.run('rm /mnt/guestmemfs/big/odd')
  const align = await refusal(host, 'setfattr -n trusted.guestmemfs.align -v 3M /mnt/guestmemfs')
  expect('pages of 3 MiB', align, /Invalid argument/)
}

async function startGuests({ host }: Stage): Promise<void> {
  for (const [name, [mebibytes, file]] of Object.entries(GUESTS)) {
    const ram = `/mnt/guestmemfs/${file}`
    const qemu = guestCommand({ name, mebibytes, ram, kernel: 'tiny-guest', machine: 'q35' })
    await host.start(`run-${name}`, `exec guestmemfs run --name ${name} -- ${qemu}`)
  }
}

/** As the kernel has it for each guest's mapping. */
async function expectPages({ host, expect }: Stage, when: string): Promise<void> {
  const [pool] = await listPools(host)
  const pages = pool?.ram.map(({ file, mappings }): [string, ...number[]] => [
    file,
    ...mappings
      .filter(({ program }) => program.startsWith('qemu'))
      .map(({ kernelPageBytes }) => kernelPageBytes),
  ])
  const wanted: typeof pages = [
    ['big/ram', GIB],
    ['small-ram', 2 * MIB],
  ]
  expect(`mapped by, ${when}`, pages?.toSorted(), wanted)
}

const wholeFrames = async ({ host }: Stage): Promise<number | undefined> =>
  (await poolStatus(host)).geometry.wholeFrames
