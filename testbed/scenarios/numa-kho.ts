/**
 * The same without a carve-out: memfds on a host with two memory nodes. QEMU binds each to its node by
 * mbind(2), which reaches the memfd through FUSE; its pages are of that node before the kexec, and, handed
 * over by LUO, after it.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { commandLineOfGuest, expectOnNodes, guestOnNodes } from '../scenario/guest-nodes.ts'
import { expectReady, liveUpdate, updateOnce } from '../scenario/live-update.ts'
import { expectArrived, expectClean, onlyVm } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS } from './luo.ts'

const FILES = ['/mnt/guestmemfs/ram0', '/mnt/guestmemfs/ram1']
const PATIENCE_MS = 240_000

export const numaKho: Scenario = {
  about:
    'memfds that QEMU binds to two memory nodes, handed over by LUO: each page is of its node before and after',
  tier: 'testbed',
  kernel: LUO_KERNEL,
  memory: '4G',
  nodes: 2,
  append: LUO_WORDS,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 96 }) }),
  async run(stage) {
    const { host, next, phase, guest } = stage
    const ram = guest('guest')
    await phase('mount', () => host.run(MOUNT_MEMFDS))
    await host.start('run', `exec guestmemfs run --name guest -- ${guestOnNodes('guest', FILES)}`)
    await phase('guest runs', () => ram.waitForTicks(10))
    await expectBound(stage, 'before')
    await host.atBoot(`${MOUNT_MEMFDS}; guestmemfs resume`)
    await expectReady(stage, liveUpdate(next))
    await phase('live update', () => updateOnce(stage, [ram], 'report'))
    await phase('guest runs on', () => ram.waitForTicks(10, PATIENCE_MS))
    await expectBound(stage, 'after')
    await expectArrived(stage)
    await expectClean(stage)
  },
}

/** By the kernel: the policy that QEMU set, and each page that it has mapped. */
async function expectBound(stage: Stage, when: string): Promise<void> {
  const { host, keep, expect } = stage
  await expectOnNodes(stage, FILES, when)
  const { pid } = await onlyVm(host)
  const maps = await host.run(`grep -E 'file=/mnt/guestmemfs/ram[01] ' /proc/${pid}/numa_maps`)
  keep(`numa_maps ${when}`, maps)
  const found = maps.split('\n').map((line) => {
    const [, policy = ''] = line.split(' ')
    const nodes = [...line.matchAll(/ N(\d+)=/g)].map(([, node]) => node)
    return `${/ram\d/.exec(line)?.[0]}: ${policy}, pages of node ${nodes.join(', ')}`
  })
  expect(
    `pages ${when}`,
    found.toSorted(),
    [0, 1].map((node) => `ram${node}: bind:${node}, pages of node ${node}`),
  )
  const asked = (await commandLineOfGuest(stage, '/mnt/guestmemfs')).match(/host-nodes=\d/g) ?? []
  expect(`host-nodes that QEMU got, ${when}`, [...asked], ['host-nodes=0', 'host-nodes=1'])
}
