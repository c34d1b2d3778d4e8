/**
 * The proof that on a host with systemd a guest that needs nothing of its pool's mount goes on before the
 * unit of the pool has begun to mount it, that one which needs the mount goes on after it, and that a unit of
 * the early start which is started again by hand, or is masked, costs no guest.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { appendText } from '../scenario/append-text.ts'
import type { GuestLog } from '../scenario/guest-log.ts'
import { expectReady, expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { expectClean, printed } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'
import { installByFstab, PATIENCE_MS, POOL_UNIT, RESUMED, startGuest, startUnits } from './systemd.ts'

/** The second one's line names the mount: QEMU would open its log there. */
const GUESTS = ['free', 'bound'] as const
const BOUND = `[Service]
ExecStart=
${startGuest('-D /mnt/guestmemfs/bound-log')}
`
const EARLY_UNIT = 'guestmemfs-early@guestmemfs.service'
const UNITS = '/etc/systemd/system'
/**
 * As an operator does it whose guests need what a unit of his own brings: here the disk with their kernels,
 * and the folder of their logs.
 */
const AFTER_SETUP = '[Unit]\nAfter=testbed-setup.service\n'

export const earlySystemd: Scenario = {
  about:
    'a host with systemd: a guest goes on before its pool is mounted, another one after it; then with the unit masked',
  tier: 'long',
  init: 'systemd',
  memory: '4G',
  append: CARVE_OUT,
  timeoutMs: 1500_000,
  files: () =>
    Object.fromEntries(
      GUESTS.map((name, index) => [name, buildTinyGuest({ mebibytes: 32, seed: index + 1 })]),
    ),
  async run(stage) {
    const { host, next, phase, expect } = stage
    await phase('install', () => install(stage))
    const guests = await phase('guests run', () => startUnits(stage, GUESTS))
    const command = `${liveUpdate(next)} --via systemctl`
    await expectReady(stage, command)
    await host.run(`systemctl start ${EARLY_UNIT}`)
    expect('in a boot that no kexec began', await state(stage, 'Result'), 'exec-condition')

    await update(stage, guests, command, 'kexec')
    await expectEarly(stage)
    await phase('started again', () => startAgain(stage))

    await host.run(`systemctl mask ${EARLY_UNIT}; sync`)
    const { kernel } = await update(stage, guests, command, 'kexec, masked')
    const [line = '', ...more] = kernel?.early ?? []
    expect('lines of the report', more.length, 0)
    expect('the line of the report', line, /^guestmemfs-early@guestmemfs\.service is masked: /)
    await expectClean(stage)
  },
}

async function install(stage: Stage): Promise<void> {
  const { host } = stage
  await installByFstab(stage, 'store=dax,nofail')
  await host.run(`mkdir -p ${UNITS}/vm@bound.service.d ${UNITS}/guestmemfs-early@.service.d
    ${appendText(`${UNITS}/vm@bound.service.d/line.conf`, BOUND)}
    ${appendText(`${UNITS}/guestmemfs-early@.service.d/setup.conf`, AFTER_SETUP)}
    systemctl daemon-reload; sync`)
}

const state = ({ host }: Stage, property: string, unit = EARLY_UNIT): Promise<string> =>
  host.run(`systemctl show -P ${property} ${unit}`)

async function update(stage: Stage, guests: readonly GuestLog[], command: string, what: string) {
  const { host, phase } = stage
  await phase(what, () => host.jump(command))
  await phase(`guests run on: ${what}`, () =>
    Promise.all(guests.map((each) => each.waitForTicks(10, PATIENCE_MS))),
  )
  await host.run(RESUMED)
  return expectUpdated(stage, GUESTS, { what: `report: ${what}` })
}

/** By the unit's own words, and by systemd's clock: its process had ended when the pool's unit began. */
async function expectEarly(stage: Stage): Promise<void> {
  const { host, keep, expect } = stage
  const said = await host.run(`journalctl -b -u ${EARLY_UNIT} -o cat`)
  keep('what the early unit said', said)
  expect('a guest that needs nothing', said, /^guestmemfs: free went on before the mount$/m)
  expect('one that needs the mount', said, /^guestmemfs: pool 'guestmemfs': guests that need its mount: 1$/m)
  const endedUs = Number(await state(stage, 'ExecMainExitTimestampMonotonic'))
  const mountedUs = Number(await state(stage, 'InactiveExitTimestampMonotonic', POOL_UNIT))
  keep('the pool’s unit began after the end of the early start', `${(mountedUs - endedUs) / 1000} ms`)
  expect('it went on before the pool’s unit began', endedUs > 0 && endedUs <= mountedUs, true)
  const [report] = (await printed(host, 'report')).reports
  const [free, bound] = GUESTS.map((name) => report?.vms.find((vm) => vm.name === name)?.blackoutUs ?? 0)
  keep('blackouts', { free, bound })
  expect('it was stopped for less time', (free ?? 0) > 0 && (free ?? 0) < (bound ?? 0), true)
  expect('lines of the report', report?.kernel?.early ?? [], [])
}

const freePid = async ({ host }: Stage): Promise<number | null | undefined> =>
  (await printed(host, 'vms')).vms.find(({ name }) => name === 'free')?.pid

/** The unit ends no QEMU, and starts none. */
async function startAgain(stage: Stage): Promise<void> {
  const { host, guest, expect } = stage
  const pid = await freePid(stage)
  const cgroup = await host.run(`cat /proc/${pid}/cgroup`)
  expect('cgroup of the QEMU', cgroup, /guestmemfs-early@guestmemfs\.service$/)
  await host.run(`systemctl restart ${EARLY_UNIT}`)
  const said = await host.run(`journalctl -b -u ${EARLY_UNIT} -o cat | tail -n 20`)
  expect('the second start', said, /^guestmemfs: pool 'guestmemfs' was mounted already: /m)
  await guest('free').waitForTicks(5)
  expect('the QEMU', await freePid(stage), pid)
}
