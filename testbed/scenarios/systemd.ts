/**
 * The proof that a host with systemd is updated as its operator would do it: `guestmemfs install`, a line in
 * fstab, guests in units, and `systemctl kexec`. Only fstab and the installed units mount the pool and resume
 * the guests.
 */
import assert from 'node:assert/strict'
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { appendText } from '../scenario/append-text.ts'
import type { GuestLog } from '../scenario/guest-log.ts'
import { expectReady, expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { expectClean, poolStatus } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

const GUESTS = ['first', 'second'] as const
const MEBIBYTES = 128
const UPDATES = 2
/** Under emulation on a busy machine, systemd alone takes a minute to come up. */
export const PATIENCE_MS = 300_000

/**
 * A guest as a service: `systemctl start vm@first`. No target has a `Wants=` of it, so a boot starts only
 * guests that were saved.
 */
const VM_UNIT = `[Unit]
RequiresMountsFor=/mnt/guestmemfs
[Service]
${startGuest()}
`

/** `words`: as of `GuestOptions`. */
export function startGuest(words?: string): string {
  const line = guestCommand({ name: '%i', mebibytes: MEBIBYTES, ...(words !== undefined && { words }) })
  return `ExecStart=/usr/local/bin/guestmemfs run --name %i -- ${line}`
}

interface Choice extends Pick<Scenario, 'about' | 'kernel' | 'memory' | 'append'> {
  /** In the line of fstab. */
  readonly options: string
}

export const onSystemd = ({ options, ...choice }: Choice): Scenario => ({
  ...choice,
  tier: 'long',
  init: 'systemd',
  timeoutMs: 1500_000,
  files: () =>
    Object.fromEntries(
      GUESTS.map((name, index) => [name, buildTinyGuest({ mebibytes: 32, seed: index + 1 })]),
    ),
  async run(stage) {
    const { host, next, phase, keep } = stage
    await phase('install', () => installByFstab(stage, options))
    const guests = await phase('guests run', () => startUnits(stage, GUESTS))
    await phase('unit restarted', () => restartUnit(stage, guests))
    await phase('keeper and server killed', () => killBoth(stage, guests))
    const command = `${liveUpdate(next)} --via systemctl`
    await expectReady(stage, command)
    // In the second update the resume unit of the first one has started the guests.
    for (let update = 1; update <= UPDATES; update++) {
      await phase(`systemctl kexec ${update}`, () => host.jump(command))
      await phase(`guests run on ${update}`, () =>
        Promise.all(guests.map((each) => each.waitForTicks(10, PATIENCE_MS))),
      )
      // `resume` writes the report when all guests run.
      await host.run(RESUMED)
      await expectUpdated(stage, GUESTS, { what: `report ${update}` })
    }
    keep('units', await host.run('systemctl --no-legend --plain list-units "guestmemfs*" "mnt-*"'))
    await host.run('touch /mnt/guestmemfs/thawed')
    await expectClean(stage)
  },
})

export const systemd = onSystemd({
  about:
    'a host with systemd: fstab, guests in units, a unit whose processes are killed, and `systemctl kexec`',
  memory: '4G',
  append: CARVE_OUT,
  options: 'store=dax,nofail',
})

/** Inside: waits until guestmemfs-resume.service has done its work. */
export const RESUMED = 'until [[ $(systemctl is-active guestmemfs-resume) == inactive ]]; do sleep 1; done'

export const POOL_UNIT = 'guestmemfs@guestmemfs.service'
const MAIN_PID = `systemctl show -P MainPID ${POOL_UNIT}`

/** Waits for new processes of the unit: files must be there and guests go on. */
async function comesBack({ host }: Stage, guests: readonly GuestLog[], former: string): Promise<void> {
  // The first command waits for the next server; the second for the unit's new main process.
  const pid = await host.run(`stat /mnt/guestmemfs/first-ram >/dev/null; echo kept >/mnt/guestmemfs/note
    for wait in {1..240}; do pid=$(${MAIN_PID}); [[ $pid != 0 && $pid != ${former} ]] && break; sleep .5; done; echo $pid`)
  assert.notEqual(pid, former)
  await Promise.all(guests.map((each) => each.waitForTicks(3)))
}

async function restartUnit(stage: Stage, guests: readonly GuestLog[]): Promise<void> {
  const former = await stage.host.run(MAIN_PID)
  await stage.host.run(`systemctl restart ${POOL_UNIT}`)
  await comesBack(stage, guests, former)
}

/** Keeper and server die at once: the service manager's store has the descriptors. */
async function killBoth(stage: Stage, guests: readonly GuestLog[]): Promise<void> {
  const { host, expect } = stage
  const stored = await host.run(`systemctl show -P NFileDescriptorStore ${POOL_UNIT}`)
  expect('descriptors in the store', stored, /^[1-9]\d*$/)
  const keeper = await host.run(MAIN_PID)
  const { server } = await poolStatus(host)
  await host.run(`kill -KILL ${keeper} ${server.pid}`)
  await comesBack(stage, guests, keeper)
}

/** A pool by a line of fstab with `options`, and units `vm@NAME` for guests in it. */
export async function installByFstab(stage: Stage, options: string): Promise<void> {
  const { host, keep, expect } = stage
  keep('systemd', await host.run('systemctl --version | head -1'))
  await host.run(`guestmemfs install --yes; mkdir -p /mnt/guestmemfs
    ${appendText('/etc/fstab', `guestmemfs /mnt/guestmemfs guestmemfs ${options} 0 0\n`)}
    ${appendText('/etc/systemd/system/vm@.service', VM_UNIT)}
    systemctl daemon-reload; mount /mnt/guestmemfs; sync`)
  const units = await host.run('systemctl is-active guestmemfs@guestmemfs mnt-guestmemfs.mount')
  expect('units', units.split('\n'), ['active', 'active'])
  keep('pool', await poolStatus(host))
}

/** The unit of each guest, whose RAM file is made. Resolves when all of them run. */
export async function startUnits({ host, guest }: Stage, names: readonly string[]): Promise<GuestLog[]> {
  for (const name of names)
    await host.run(`cd /mnt/guestmemfs; touch ${name}-ram; truncate -s ${MEBIBYTES}M ${name}-ram
      systemctl start vm@${name}`)
  const guests = names.map((name) => guest(name))
  await Promise.all(guests.map((each) => each.waitForTicks(5)))
  return guests
}
