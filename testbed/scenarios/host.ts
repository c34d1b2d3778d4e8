/**
 * The host as a whole: sixteen guests of mixed kinds in a pool of each store get a newer kernel by one
 * command, which was rehearsed before. One guest is KVM's, as with two more the emulator may fail
 * (testbed/README.md); one has suspended itself, one was paused by its owner, and one, in a pool that ends
 * with the kernel, is left behind on purpose. libvirt's are in `host-libvirt`.
 */
import type { VmTimeline } from '../../src/liveupdate/report/timeline.ts'
import type { UpdateReport } from '../../src/liveupdate/report/update-report.ts'
import { type GuestOptions, guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { GuestLog } from '../scenario/guest-log.ts'
import { expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { HOLD } from '../scenario/mapping.ts'
import { expectClean } from '../scenario/pool.ts'
import { rehearse } from '../scenario/rehearsal.ts'
import { QMP, runStates } from '../scenario/run-states.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

const MIB = 2 ** 20
const MEBIBYTES = 32
/** All of them share two emulated processors: each looks at a word in 128 bytes, once a second. */
const PATTERN = { mebibytes: 8, strideBytes: 128, pace: 20 }
const LAST_TICK_OF_SUSPENDED = 3
/** Sixteen QEMUs that start at once. */
const SLOW_MS = 1200_000
const AT_ONCE = 4

interface Choice extends Partial<GuestOptions> {
  /** Of `guestmemfs run`. */
  readonly run?: string
}

/** By name; each has 32 MiB in the carve-out `dax`, and is emulated, where it does not say otherwise. */
const GUESTS: Readonly<Record<string, Choice>> = {
  first: { run: '--order=-1' },
  kvm: { accelerator: 'kvm' },
  'plain-1': {},
  'plain-2': {},
  'plain-3': {},
  'plain-4': {},
  user: { run: '--user 1000' },
  disk: { words: '-drive file=/var/lib/disk,format=raw,if=none,id=disk -device virtio-blk-pci,drive=disk' },
  nic: { words: '-netdev user,id=cable -device virtio-net-pci,netdev=cable,romfile=' },
  spread: { nodes: ['/mnt/guestmemfs/spread-0', '/mnt/guestmemfs/spread-1'] },
  paused: {},
  suspended: {},
  'window-1': { ram: '/mnt/reserved/window-1-ram' },
  'window-2': { ram: '/mnt/reserved/window-2-ram' },
  last: { run: '--order=9' },
  away: { ram: '/mnt/memfds/away-ram' },
}
const LEFT = 'away'
const CARRIED = Object.keys(GUESTS).filter((name) => name !== LEFT)
const IN_RESERVED = CARRIED.filter((name) => GUESTS[name]?.ram !== undefined)
const IN_CARVE_OUT = CARRIED.filter((name) => !IN_RESERVED.includes(name))
/** They print nothing more until they are continued. */
const IDLE = ['paused', 'suspended']

const MOUNTS = `mkdir -p /mnt/guestmemfs /mnt/reserved; ${MOUNT}
guestmemfs mount reserved /mnt/reserved -o store=devmem
chmod 1777 /run/testbed/logs`

export const wholeHost: Scenario = {
  about:
    'sixteen guests of mixed kinds, a pool of each store, one command: rehearsed, then updated to a newer kernel',
  tier: 'long',
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '6G',
  timeoutMs: 3600_000,
  append: `${CARVE_OUT} memmap=512M$5G`,
  files: () =>
    Object.fromEntries(
      Object.keys(GUESTS).map((name, index) => [
        name,
        buildTinyGuest({
          ...PATTERN,
          seed: index + 1,
          ...(name === 'suspended' && { suspendAfter: LAST_TICK_OF_SUSPENDED }),
        }),
      ]),
    ),
  async run(stage) {
    const { host, next, phase, keep, expect } = stage
    await phase('mount', () =>
      host.run(`${MOUNTS}; mkdir -p /mnt/memfds; guestmemfs mount memfds /mnt/memfds -o size=64M
        chmod 1777 /mnt/guestmemfs; truncate -s 8M /var/lib/disk; sync`),
    )
    const guests = await phase('guests run', () => startGuests(stage))
    await host.run(`${QMP} stop paused`)
    await expectIdle(stage, 'before')
    const before = await contents(stage, 'before')

    const command = `${liveUpdate(next)} --timeout 10m --patience 10m`
    const told = await rehearse(stage, {
      command: `${command} --leave ${LEFT}`,
      when: 'before any update',
      guests: [...carried(IDLE), `${LEFT}: left, running`],
    })
    expect('blackouts that are known', told.guests.filter(({ expected }) => expected !== null).length, 0)

    await host.atBoot(`${MOUNTS}\nguestmemfs resume --timeout 10m || true\necho all resumed`)
    await phase('live update', () => host.jump(`${command} --leave ${LEFT}`, { timeoutMs: SLOW_MS }))
    await phase('resumed', () => host.log('at-boot').waitFor(/^all resumed$/m, { timeoutMs: SLOW_MS }))
    await phase('guests run on', () => ticks(guests, 5))
    const reports = await expectReports(stage)
    await expectIdle(stage, 'after')
    expect('RAM of the suspended guest', await contents(stage, 'after'), before)
    await host.run(`${QMP} cont paused`)
    await phase('the paused guest runs on', () => stage.guest('paused').waitForTicks(3, SLOW_MS))

    await expectForeseen(stage, command, reports)
    keep('told', await host.run('guestmemfs report guestmemfs'))
    for (const pool of ['guestmemfs', 'reserved']) await expectClean(stage, `fsck of ${pool}`, pool)
  },
}

/** `paused`: those whose processors do not run. */
const carried = (paused: readonly string[]): string[] =>
  CARRIED.map((name) => `${name}: carried, ${paused.includes(name) ? 'paused' : 'running'}`)

const ticks = (guests: readonly GuestLog[], count: number): Promise<unknown> =>
  Promise.all(guests.map((each) => each.waitForTicks(count, SLOW_MS)))

/** Some at a time, as each has its firmware to run. Returns those that print on. */
async function startGuests({ host, guest }: Stage): Promise<GuestLog[]> {
  const names = Object.keys(GUESTS)
  for (let from = 0; from < names.length; from += AT_ONCE) {
    const batch = names.slice(from, from + AT_ONCE)
    for (const name of batch) {
      const { run = '', ...options } = GUESTS[name] as Choice
      const qemu = guestCommand({ name, mebibytes: MEBIBYTES, accelerator: 'tcg', ...options })
      await host.start(`run-${name}`, `exec guestmemfs run --name ${name} ${run} -- ${qemu}`)
    }
    await Promise.all(
      batch.map((name) =>
        // The end of that one is no failure, so its ticks are not judged.
        name === LEFT
          ? host.log(name).waitFor(/^tick 2 bad 0/m, { timeoutMs: SLOW_MS })
          : guest(name).waitForTicks(name === 'suspended' ? LAST_TICK_OF_SUSPENDED : 2, SLOW_MS),
      ),
    )
  }
  return CARRIED.filter((name) => !IDLE.includes(name)).map((name) => guest(name))
}

const expectIdle = async ({ host, expect }: Stage, when: string): Promise<void> =>
  expect(`run states, ${when}`, await runStates(host, IDLE), { paused: 'paused', suspended: 'suspended' })

/** A digest of the suspended guest's RAM, through a mapping of it. */
async function contents({ host }: Stage, when: string): Promise<string> {
  const path = '/mnt/guestmemfs/suspended-ram'
  const { pid, log } = await host.start(`holder-${when}`, `exec ${HOLD} ${path} ${MEBIBYTES * MIB}`)
  const [, digest = ''] = await log.waitFor(/holding (\d+)\n/)
  await host.run(`kill -KILL ${pid}`)
  return digest
}

/** Each pool has a report; the lowest order is first in it. Returns the guests of both. */
async function expectReports(stage: Stage): Promise<readonly VmTimeline[]> {
  const { expect } = stage
  const paused = ['paused']
  const reports: UpdateReport[] = [
    await expectUpdated(stage, IN_CARVE_OUT, { what: 'report', pool: 'guestmemfs', paused }),
    await expectUpdated(stage, IN_RESERVED, { what: 'report of the reserved pool', pool: 'reserved' }),
  ]
  expect(
    'left',
    reports.map(({ left }) => left ?? []),
    [[LEFT], [LEFT]],
  )
  const names = reports[0]?.vms.map(({ name }) => name) ?? []
  expect('order', [names[0], names.at(-1)], ['first', 'last'])
  return reports.flatMap(({ vms }) => vms)
}

/** What the update took is what the next one is expected to take. */
async function expectForeseen(stage: Stage, command: string, guests: readonly VmTimeline[]): Promise<void> {
  const when = 'after the update'
  const { guests: told } = await rehearse(stage, { command, when, guests: carried(['suspended']) })
  const ran = guests.filter(({ name }) => !IDLE.includes(name))
  const found = ran.map(({ name }) => {
    const expected = told.find((each) => each.name === name)?.expected
    return `${name}: ${expected?.longestUs} µs, ${expected?.count} of its own: ${expected?.of === 'guest'}`
  })
  stage.expect(
    'blackouts to expect',
    found,
    ran.map(({ name, blackoutUs }) => `${name}: ${blackoutUs} µs, 1 of its own: true`),
  )
}
