/**
 * The proof that a domain of libvirt is a guest like all others: started by `virsh start`, listed, updated
 * twice while libvirt keeps it, and gone with its RAM when it is destroyed. A domain with private RAM is
 * named, and another package's hook is called as before.
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
import { expectClean, printed } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const WEB = { name: 'web', mebibytes: 128 }
/** Never started: libvirt starts its QEMU, whose guest stays paused. */
const PRIVATE = { name: 'private', mebibytes: 64, isPrivate: true }
const UPDATES = 2
const UPDATE = '--vmm-only --timeout 3m'

export const libvirt: Scenario = {
  about: "libvirt's domains: install --libvirt, vms, and two updates of QEMU alone, in a pool of memfds",
  tier: 'long',
  init: 'systemd',
  memory: '3G',
  packages: LIBVIRT_PACKAGES,
  timeoutMs: 1800_000,
  files: () => ({
    web: buildTinyGuest({ mebibytes: 32, seed: 1 }),
    private: buildTinyGuest({ mebibytes: 8, seed: 2 }),
  }),
  async run(stage) {
    const { host, phase, expect, guest } = stage
    await phase('install', () => installWithLibvirt(stage, { options: 'size=1G' }))
    const web = guest('web')
    await phase('domain runs', async () => {
      await host.run(
        `${define(WEB)}; ${define(PRIVATE)}; ${VIRSH} start web; ${VIRSH} start private --paused`,
      )
      await web.waitForTicks(5)
    })
    expect('domain', await domainFacts(stage, 'web'), RUNS('web'))
    await expectListed(stage)
    for (let update = 1; update <= UPDATES; update++) {
      await phase(`update ${update}`, () => updateOnce(stage, update))
      await web.waitForTicks(5)
      expect(`domain after ${update}`, await domainFacts(stage, 'web'), RUNS('web'))
    }
    const theirs = await host.run("grep -c '^web start begin$' /run/theirs")
    expect("calls of another package's hook", theirs, String(1 + UPDATES))
    await phase('destroy', () => destroy(stage))
    await expectClean(stage)
  },
}

async function expectListed({ host, expect }: Stage): Promise<void> {
  const { vms } = await printed(host, 'vms', '2>/dev/null')
  expect(
    'vms',
    vms.map(({ name, state }) => `${name} ${state}`),
    ['web running'],
  )
  const said = await host.run('guestmemfs vms 2>&1 >/dev/null')
  expect(
    'vms, the other one',
    said,
    /^guestmemfs: VM private of libvirt cannot be updated: its RAM is private/m,
  )
}

async function updateOnce({ host, keep, expect }: Stage, update: number): Promise<void> {
  const id = await host.run(`${VIRSH} domid web`)
  const [report] = (await printed(host, 'live-update', `${UPDATE} 2>/run/said`)).reports
  keep(`report ${update}`, report)
  expect(
    `report ${update}, guests`,
    report?.vms.map(({ name, outcome, problem }) => `${name}: ${problem ?? outcome}`),
    ['web: updated'],
  )
  expect(
    `report ${update}, the other one`,
    await host.run('cat /run/said'),
    /VM private of libvirt is not updated/,
  )
  expect(`id ${update}`, await host.run(`[ "$(${VIRSH} domid web)" -gt ${id} ] && echo another`), 'another')
}

async function destroy({ host, expect }: Stage): Promise<void> {
  await host.run(`${VIRSH} destroy web; ${VIRSH} destroy private`)
  expect('vms, none', await host.run('guestmemfs vms'), 'no VMs')
  expect('RAM is freed', await host.run('find /mnt/guestmemfs -type f | wc -l'), '0')
  await host.run('guestmemfs install --yes --no-libvirt')
  expect('hooks', await host.run('find /etc/libvirt/hooks -type f'), '/etc/libvirt/hooks/qemu')
}
