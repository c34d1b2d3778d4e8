/**
 * A host with two memory nodes, a carve-out in each, and a guest with RAM in both: it stays there through a
 * real kexec into a kernel that has one more carve-out below them, and so numbers all of them otherwise.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { commandLineOfGuest, doctorLines, expectOnNodes, guestOnNodes } from '../scenario/guest-nodes.ts'
import { expectReady, expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { expectClean, printed, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { TWO_CARVE_OUTS } from './carve-out.ts'

const PATIENCE_MS = 240_000
/** Where a 6G machine of two nodes has them: 4 GiB is of node 0, which ends at 5 GiB. */
const STARTS = ['0x100000000', '0x140000000'] as const
/** Below both, so the next kernel's first region. */
const ONE_MORE = 'memmap=512M%1G-1+0xefffffff'
const FILES = ['/mnt/node0/guest-ram', '/mnt/node1/guest-ram']
const MOUNT = STARTS.map(
  (start, node) =>
    `mkdir -p /mnt/node${node}; guestmemfs mount node${node} /mnt/node${node} -o store=dax,region=${start}`,
).join('\n')

export const numa: Scenario = {
  about:
    'RAM in a carve-out of each of two memory nodes, through a kexec after which the regions have other numbers',
  tier: 'testbed',
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '6G',
  nodes: 2,
  timeoutMs: 1500_000,
  append: TWO_CARVE_OUTS,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 96 }) }),
  async run(stage) {
    const { host, next, phase, expect, guest } = stage
    const ram = guest('guest')
    await expectPlanned(stage)
    await phase('mount', () => host.run(MOUNT))
    const before = await expectRegions(stage, 'before')
    expect('several, none named', await refusal(host, 'guestmemfs mount x /mnt -o store=dax'), /0x100000000/)
    await expectWrongNode(stage)
    await host.start('run', `exec guestmemfs run --name guest -- ${guestOnNodes('guest', FILES)}`)
    await phase('guest runs', () => ram.waitForTicks(20))
    await expectPlaced(stage, 'before')

    await host.atBoot(`${MOUNT}\nguestmemfs resume`)
    const command = `${liveUpdate(next)} --append '${ONE_MORE}'`
    await expectReady(stage, command)
    await phase('live update', () => host.jump(`${command} --timeout 3m`))
    await host.log('at-boot').waitFor(/BLACKOUT[\s\S]*updated/)
    await phase('guest runs on', () => ram.waitForTicks(20, PATIENCE_MS))
    await expectUpdated(stage, ['guest'])
    const after = await expectRegions(stage, 'after')
    expect(
      'regions that kept their number',
      STARTS.filter((start) => before[start] === after[start]),
      [],
    )
    await expectPlaced(stage, 'after')
    for (const node of [0, 1]) await expectClean(stage, `fsck of node ${node}`, `node${node}`)
  },
}

/** `reserve` plans what this host was booted with, each range in its node. */
async function expectPlanned({ host, expect }: Stage): Promise<void> {
  const plan = await printed(host, 'reserve', '--size 512M --numa all --replace')
  expect(
    'planned',
    plan.ranges.map(({ startByte, nodes }) => [`0x${startByte.toString(16)}`, ...nodes]),
    STARTS.map((start, node) => [start, node]),
  )
  expect(
    'words',
    plan.addWords.map((word) => TWO_CARVE_OUTS.split(' ').includes(word)),
    [true, true],
  )
}

/** Numbers of the regions by their first byte; the kernel has each in the node that the firmware says. */
async function expectRegions(stage: Stage, when: string): Promise<Record<string, string>> {
  const { host, keep, expect } = stage
  const shown = await host.run(
    'cd /sys/bus/dax/devices; for each in dax*.0; do echo $each $(cat $each/resource $each/target_node); done',
  )
  const regions = shown.split('\n').map((line) => line.split(' ') as [string, string, string])
  keep(`regions ${when}`, shown)
  const ours = regions.filter(([, start]) => STARTS.some((each) => each === start))
  expect(
    `target nodes ${when}`,
    ours.map(([, start, node]) => [start, node]).toSorted(),
    STARTS.map((start, node) => [start, String(node)]),
  )
  const lines = await doctorLines(stage, /^carve-out 512M at [45]G$/)
  expect(
    `doctor ${when}`,
    lines.map((line) => line.replace(/dax\d+/, 'dax')),
    [4, 5].map((at, node) => `ok carve-out 512M at ${at}G: dax: 512M in pages of 2M, memory node ${node}`),
  )
  return Object.fromEntries(ours.map(([name, start]) => [start, name]))
}

/** A guest that is bound to the other node is not started, and leaves no file. */
async function expectWrongNode({ host, expect }: Stage): Promise<void> {
  const line = guestOnNodes('wrong', ['/mnt/node1/wrong0', '/mnt/node0/wrong1'])
  const refused = await refusal(host, `guestmemfs run --name wrong -- ${line}`)
  expect(
    'wrong node',
    refused,
    /'ram0' on \/mnt\/node1\/wrong0 asks for memory node 0 \(policy=bind\), and lies in memory node 1/,
  )
  expect('files that it left', await host.run('ls -A /mnt/node0 /mnt/node1 | grep wrong || true'), '')
}

async function expectPlaced(stage: Stage, when: string): Promise<void> {
  const { host, expect } = stage
  await expectOnNodes(stage, FILES, when)
  const xattrs = FILES.map((path) => `getfattr -h --only-values -n trusted.guestmemfs.node ${path}; echo`)
  expect(`memory nodes by xattr, ${when}`, await host.run(xattrs.join('\n')), '0\n1')
  const line = await commandLineOfGuest(stage, '/mnt/node0')
  expect(`host-nodes that QEMU got, ${when}`, line.match(/host-nodes|policy/g), null)
}
