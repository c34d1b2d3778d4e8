/**
 * The proof that a pool outlives `systemctl soft-reboot`, which starts all of user space again on the same
 * kernel: keeper, server and files are as before, a guest in a unit that outlives it runs on, and one in an
 * ordinary unit ends as at any shutdown.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { appendText } from '../scenario/append-text.ts'
import { expectClean, keeperPid, poolStatus, printed } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const DIRECTORY = '/mnt/guestmemfs'
const MEBIBYTES = 128
const GUESTS = ['stays', 'ends'] as const

const start = (name: string): string =>
  `ExecStart=/usr/local/bin/guestmemfs run --name ${name} -- ${guestCommand({ name, mebibytes: MEBIBYTES })}\n`
/** As systemd.unit(5) asks of a unit that outlives it; every slice but the root is stopped. */
const SURVIVES =
  '[Unit]\nDefaultDependencies=no\nIgnoreOnIsolate=yes\nSurviveFinalKillSignal=yes\n[Service]\nSlice=-.slice\n'
const UNITS = { stays: `${SURVIVES}${start('stays')}`, ends: `[Service]\n${start('ends')}` }

export const softReboot: Scenario = {
  about: '`systemctl soft-reboot`: pool, keeper, server and a guest whose unit outlives it are as before',
  tier: 'long',
  init: 'systemd',
  memory: '4G',
  append: 'guestmemfs=1G',
  timeoutMs: 1500_000,
  files: () =>
    Object.fromEntries(
      GUESTS.map((name, index) => [name, buildTinyGuest({ mebibytes: 32, seed: index + 1 })]),
    ),
  async run(stage) {
    const { host, phase, keep, expect, guest } = stage
    await phase('install', () => install(stage))
    await phase('guests run', async () => {
      for (const name of GUESTS)
        await host.run(`cd ${DIRECTORY}; touch ${name}-ram; truncate -s ${MEBIBYTES}M ${name}-ram
          systemctl start vm-${name}`)
      await guest('stays').waitForTicks(5)
      // Its end is no failure, so its ticks are not judged.
      await host.log('ends').waitFor(/\n.+\n/)
    })
    await host.run(`head -c 5M /dev/urandom >${DIRECTORY}/file`)
    const before = await poolFacts(stage)
    await phase('soft-reboot', () => host.startUserSpaceAgain('systemctl soft-reboot; sleep 300'))
    await phase('the guest runs on', () => guest('stays').waitForTicks(10))
    expect('keeper, server, file', await poolFacts(stage), before)
    const mounted = await host.run(
      `findmnt -no FSTYPE ${DIRECTORY}; systemctl is-active mnt-guestmemfs.mount`,
    )
    expect('mounted', mounted.split('\n'), ['fuse.guestmemfs', 'active'])
    const { vms } = await printed(host, 'vms')
    const states = vms.map(({ name, state }) => `${name} ${state}`)
    // The other one's QEMU got SIGTERM, as at any shutdown, and so ended in order.
    expect('guests', states, ['stays running'])
    expect('files', await host.run(`ls ${DIRECTORY}`), 'ends-ram\nfile\nstays-ram')
    keep('units', await host.run('systemctl --no-legend --plain list-units "guestmemfs*" "mnt-*" "vm-*"'))
    await expectClean(stage)
  },
}

async function install({ host, keep }: Stage): Promise<void> {
  keep('systemd', await host.run('systemctl --version | head -1'))
  await host.run(`guestmemfs install --yes; mkdir -p ${DIRECTORY}
    ${appendText('/etc/fstab', `guestmemfs ${DIRECTORY} guestmemfs size=1G,nofail 0 0\n`)}
    ${appendText('/etc/systemd/system/vm-stays.service', UNITS.stays)}
    ${appendText('/etc/systemd/system/vm-ends.service', UNITS.ends)}
    systemctl daemon-reload; mount ${DIRECTORY}; sync`)
}

async function poolFacts({ host }: Stage): Promise<object> {
  const { server } = await poolStatus(host)
  return {
    keeper: await keeperPid(host),
    server: server.pid,
    digest: await host.run(`sha256sum <${DIRECTORY}/file`),
  }
}
