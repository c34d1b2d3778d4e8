/**
 * The proof that a domain of libvirt goes on in the next kernel: one update by kexec, one by
 * `systemctl kexec`. It is autostarted, so libvirt tries to boot it anew in each kernel before it is resumed.
 * Only fstab and the installed units mount, start libvirt and resume.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import {
  define,
  domainFacts,
  installWithLibvirt,
  LIBVIRT_PACKAGES,
  RUNS,
  VIRSH,
} from '../scenario/libvirt-host.ts'
import { expectReady, expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { expectClean } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

/** Under emulation on a busy machine, systemd alone takes a minute to come up. */
const PATIENCE_MS = 400_000
const WAYS = ['kexec', 'systemctl'] as const

interface Choice extends Pick<Scenario, 'about' | 'kernel' | 'memory' | 'append'> {
  /** In the line of fstab. */
  readonly options: string
  readonly isInCarveOut: boolean
}

const onLibvirt = ({ options, isInCarveOut, ...choice }: Choice): Scenario => ({
  ...choice,
  tier: 'long',
  init: 'systemd',
  packages: LIBVIRT_PACKAGES,
  timeoutMs: 2400_000,
  files: () => ({ web: buildTinyGuest({ mebibytes: 32, seed: 1 }) }),
  async run(stage) {
    const { host, next, phase, expect, guest } = stage
    await phase('install', () => installWithLibvirt(stage, { options }))
    const web = guest('web')
    await phase('domain runs', async () => {
      const domain = { name: 'web', mebibytes: 128, isInCarveOut }
      await host.run(`${define(domain)}; ${VIRSH} autostart web; ${VIRSH} start web; sync`)
      await web.waitForTicks(5)
    })
    const command = `${liveUpdate(next)} --timeout 3m`
    await expectReady(stage, command)
    for (const way of WAYS) {
      await phase(`by ${way}`, () => host.jump(`${command} --via ${way}`))
      await phase(`domain runs on, ${way}`, () => web.waitForTicks(10, PATIENCE_MS))
      await host.run('until [[ $(systemctl is-active guestmemfs-resume) == inactive ]]; do sleep 1; done')
      await expectUpdated(stage, ['web'], { what: `report, ${way}` })
      expect(`domain after ${way}`, await domainFacts(stage, 'web'), RUNS('web'))
      await keepRefusals(stage, way)
    }
    await phase('destroy', async () => {
      await host.run(`${VIRSH} destroy web`)
      expect('RAM is freed', await host.run('find /mnt/guestmemfs ! -type d | wc -l'), '0')
    })
    await expectClean(stage)
  },
})

/** Whether libvirt came first depends on the boot: a figure, not an assertion. */
async function keepRefusals({ host, keep }: Stage, way: string): Promise<void> {
  const said = "journalctl -b -u libvirtd --no-pager | grep -c 'saved by a live update' || true"
  keep(`starts by libvirt that the hook refused, ${way}`, await host.run(said))
}

export const libvirtKernel = onLibvirt({
  about: "libvirt's autostarted domain in a carve-out, from one stock kernel to the next by kexec",
  memory: '4G',
  append: CARVE_OUT,
  options: 'store=dax,nofail',
  isInCarveOut: true,
})

export const libvirtKho = onLibvirt({
  about: 'the same with no memory set aside: a pool of memfds, handed over by the live update orchestrator',
  kernel: 'luo',
  memory: '3G',
  append: 'kho=on liveupdate=on',
  options: 'size=1G,nofail',
  isInCarveOut: false,
})
