/**
 * The host as a whole where libvirt has a part in it: a domain of libvirt beside guests of `guestmemfs run`,
 * one of them paused by its owner and one left behind, get a newer kernel by one command. Apart from `host`,
 * as systemd, libvirt and sixteen QEMUs that all start at once are more than two emulated processors do
 * within the time that libvirt and systemd give a start.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuests } from '../guests/tiny-guest.ts'
import {
  define,
  domainFacts,
  installWithLibvirt,
  LIBVIRT_PACKAGES,
  RUNS,
  VIRSH,
} from '../scenario/libvirt-host.ts'
import { expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { expectClean } from '../scenario/pool.ts'
import { rehearse } from '../scenario/rehearsal.ts'
import { QMP, runStates } from '../scenario/run-states.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

/** Under emulation on a busy machine, systemd alone takes a minute to come up. */
const SLOW_MS = 600_000
const DOMAIN = { name: 'web', mebibytes: 64, isInCarveOut: true }
const CARRIED = ['plain', 'paused']
const LEFT = 'away'

export const hostLibvirt: Scenario = {
  about:
    'a domain of libvirt beside three other guests, one paused and one left, in one update of the kernel',
  tier: 'long',
  init: 'systemd',
  packages: LIBVIRT_PACKAGES,
  memory: '4G',
  append: CARVE_OUT,
  timeoutMs: 2400_000,
  files: () => buildTinyGuests([DOMAIN.name, ...CARRIED, LEFT], { mebibytes: 8, strideBytes: 64, pace: 10 }),
  async run(stage) {
    const { host, next, phase, expect, guest } = stage
    await phase('install', () => installWithLibvirt(stage, { options: 'store=dax,nofail' }))
    const running = [guest(DOMAIN.name), guest('plain')]
    await phase('guests run', async () => {
      await host.run(`${define(DOMAIN)}; ${VIRSH} start ${DOMAIN.name}; sync`)
      for (const name of [...CARRIED, LEFT]) {
        const qemu = guestCommand({ name, mebibytes: 32, accelerator: 'tcg' })
        await host.start(`run-${name}`, `exec guestmemfs run --name ${name} -- ${qemu}`)
      }
      await Promise.all([...running, guest('paused')].map((each) => each.waitForTicks(3, SLOW_MS)))
      // Its end is no failure, so its ticks are not judged.
      await host.log(LEFT).waitFor(/^tick 2 bad 0/m, { timeoutMs: SLOW_MS })
    })
    await host.run(`${QMP} stop paused`)
    const command = `${liveUpdate(next)} --leave ${LEFT} --timeout 3m`
    await rehearse(stage, {
      command,
      when: 'before',
      guests: [
        'away: left, running',
        'paused: carried, paused',
        'plain: carried, running',
        'web: carried, running',
      ],
    })
    await phase('live update', () => host.jump(command, { timeoutMs: SLOW_MS }))
    await phase('guests run on', () => Promise.all(running.map((each) => each.waitForTicks(5, SLOW_MS))))
    // `resume` writes the report when all guests run.
    await host.run('until [[ $(systemctl is-active guestmemfs-resume) == inactive ]]; do sleep 1; done', {
      timeoutMs: SLOW_MS,
    })
    const { left } = await expectUpdated(stage, [DOMAIN.name, ...CARRIED], { paused: ['paused'] })
    expect('left', left, [LEFT])
    expect('domain', await domainFacts(stage, DOMAIN.name), RUNS(DOMAIN.name))
    expect('run state', await runStates(host, ['paused']), { paused: 'paused' })
    await host.run(`${QMP} cont paused`)
    await phase('the paused guest runs on', () => guest('paused').waitForTicks(3, SLOW_MS))
    await expectClean(stage)
  },
}
