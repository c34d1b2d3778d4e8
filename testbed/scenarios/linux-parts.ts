/**
 * What the scenarios of a Linux guest with much around it share: two disks, of which one gets an overlay
 * while it runs, a network card that is plugged, in a bridge of the host, a TPM of swtpm, and RAM in two
 * pools, of which each is a NUMA node. The guest checks all of it by itself, before and after a real kexec;
 * its one TCP connection, to a peer outside of the host, goes on.
 *
 * QEMU emulates the guest's processor: where the host itself is emulated, KVM ends a guest at the first store
 * to a device after an update (see many.ts), and a TPM has no other way.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FILES, guestCommand } from '../guests/qemu.ts'
import { buildWatchingGuest, type Watched } from '../guests/watching-guest.ts'
import { GuestMonitor } from '../scenario/guest-monitor.ts'
import { expectReady, liveUpdate, updateOnce } from '../scenario/live-update.ts'
import { expectClean, onlyVm } from '../scenario/pool.ts'
import type { Stage } from '../scenario/scenario.ts'

/** What is one scenario's own. */
export interface LinuxHost {
  /** Mounts the pool with the guest's record at /mnt/guestmemfs. */
  readonly mount: string
  /** Mounts the other one at /mnt/second. */
  readonly mountSecond: string
  /** Starts what QEMU connects to. */
  readonly helpers: string
  /** Besides what each guest has. */
  readonly watched: readonly Watched[]
  readonly words?: readonly string[]
}

/** An emulated guest in an emulated host takes its time. */
const PATIENCE_MS = 600_000
const RAM_MIB = 256
const MONITOR = '/run/linux-guest.monitor'
/** On the host's disk, which outlives the kexec. */
export const HOME = '/var/lib/linux-guest'
const TAP = 'guest0'
const MAC = '52:54:00:00:00:07'
const WATCHED = ['disks', 'tpm', 'nodes'] as const
/** Enough that each thing is used some times. */
const TICKS = 6

/**
 * The host's card and the guest's tap in one bridge, as an operator has them made at each boot. A kernel that
 * has a driver built in has no module of its name.
 */
const NETWORK = `for module in tun bridge virtio_net; do modprobe -q $module || true; done
for try in $(seq 50); do [ ! -e /sys/class/net/eth0 ] || break; sleep 0.1; done
busybox brctl addbr bridge0
busybox tunctl -t ${TAP} >/dev/null
for port in eth0 ${TAP}; do ip link set $port up; busybox brctl addif bridge0 $port; done
ip link set bridge0 up`

export const TPM = `swtpm socket --tpm2 --tpmstate dir=${HOME}/tpm --ctrl type=unixio,path=/run/tpm.socket --daemon`
const MAKE_HOME = `mkdir -p ${HOME}/tpm ${HOME}/shared
truncate -s 1M ${HOME}/disk0 ${HOME}/disk1`

const MAKE_MOUNT_POINTS = 'mkdir -p /mnt/guestmemfs /mnt/second'

const monitor = new GuestMonitor(MONITOR)

/** QEMU with a guest that watches what it has. */
const commandFor = ({ watched, words = [] }: LinuxHost): string =>
  guestCommand({
    name: 'guest',
    mebibytes: RAM_MIB,
    nodes: ['/mnt/guestmemfs/guest-node0', '/mnt/second/guest-node1'],
    accelerator: 'tcg',
    kernel: 'linux',
    words: [
      `-initrd ${FILES}/linux-initrd -append 'console=ttyS0 quiet watch=${[...WATCHED, ...watched].join(',')}'`,
      `-monitor unix:${MONITOR},server,nowait -device pcie-root-port,id=port0,chassis=1`,
      `-drive if=none,id=disk0,file=${HOME}/disk0,format=raw -device virtio-blk-pci,drive=disk0,id=vda`,
      `-drive if=none,id=disk1,file=${HOME}/disk1,format=raw -device virtio-blk-pci,drive=disk1,id=vdb`,
      '-chardev socket,id=tpm0,path=/run/tpm.socket -tpmdev emulator,id=tpm0,chardev=tpm0 -device tpm-crb,tpmdev=tpm0',
      ...words,
    ].join(' \\\n  '),
  })

/** `expectMore`: what else must hold, before the kexec and after it. */
export async function updateLinuxHost(
  stage: Stage,
  linux: LinuxHost,
  expectMore: (when: string) => Promise<void> = async () => {},
): Promise<void> {
  const { host, next, phase, guest, expect } = stage
  const ticks = guest('guest')
  await host.run(`${MAKE_HOME}\ncat >${HOME}/helpers <<'END'\n${linux.helpers}\nEND`)
  await phase('mount', () => host.run(`${MAKE_MOUNT_POINTS}\n${linux.mount}\n${linux.mountSecond}`))
  await host.run(NETWORK)
  await host.start(
    'run',
    `exec guestmemfs run --name guest --before 'sh ${HOME}/helpers' -- ${commandFor(linux)}`,
  )
  await phase('guest runs', () => ticks.waitForTicks(3, PATIENCE_MS))

  await phase('the guest changes', () => change(stage))
  await phase('and uses what it got', () => ticks.waitForTicks(TICKS, PATIENCE_MS))
  await expectWhole(stage, 'before')
  await expectMore('before')
  // In the order of the boot: the resumption waits for the pool that is mounted late.
  await host.atBoot(
    `${NETWORK}\n${MAKE_MOUNT_POINTS}\n${linux.mount} --resume &\n${linux.mountSecond}\nwait $!`,
    { alone: true },
  )
  await expectReady(stage, liveUpdate(next))
  await phase('live update', () => updateOnce(stage, [ticks], 'report'))
  await phase('the guest goes on', () => ticks.waitForTicks(TICKS, PATIENCE_MS))
  await expectWhole(stage, 'in the next kernel')
  await expectMore('in the next kernel')
  expect('guest', (await onlyVm(host)).state, 'running')
  expect('guest of the second pool', (await onlyVm(host, '/mnt/second')).state, 'running')
  await expectClean(stage)
  await expectClean(stage, 'fsck of the second pool', 'second')
}

/** The guest's kernel and what it boots with. */
export async function linuxFiles({ watched }: LinuxHost): Promise<Record<string, Uint8Array>> {
  const folder = mkdtempSync(join(tmpdir(), 'linux-guest-'))
  try {
    const { kernel, initrd } = await buildWatchingGuest(folder, [...WATCHED, ...watched])
    return { linux: readFileSync(kernel), 'linux-initrd': readFileSync(initrd) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const change = ({ host }: Stage): Promise<string> =>
  host.run(
    monitor.say(
      `snapshot_blkdev disk1 ${HOME}/overlay qcow2`,
      `netdev_add tap,id=net1,ifname=${TAP},script=no,downscript=no`,
      `device_add virtio-net-pci,id=nic1,netdev=net1,bus=port0,mac=${MAC}`,
    ),
  )

/** The guest's own checks are in its ticks: here is what it cannot see. */
async function expectWhole({ host, peer, expect }: Stage, when: string): Promise<void> {
  expect(`faults, ${when}`, host.log('guest').text.match(/^fault: .*$/gm) ?? [], [])
  expect(
    `disk, ${when}`,
    await host.run(monitor.say('info block disk1')),
    new RegExp(`: ${HOME}/overlay \\(qcow2\\)`),
  )
  expect(
    `network, ${when}`,
    await host.run(monitor.say('info network')),
    new RegExp(`nic1: .*${MAC}[\\s\\S]*net1: .*ifname=${TAP}`),
  )
  expect(`bridge, ${when}`, await host.run(`readlink /sys/class/net/${TAP}/master`), /\/bridge0$/)
  // One connection, of which no line is lost or doubled; the guest looks at what comes back.
  const lines = [...(peer?.lines ?? [])]
  const [first = ''] = lines
  const from = Number(first.slice('line '.length))
  expect(`lines of the connection, ${when}`, lines.length >= 5, true)
  expect(
    `its lines in order, ${when}`,
    lines,
    Array.from(lines, (_, index) => `line ${from + index}`),
  )
}
