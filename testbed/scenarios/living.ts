/**
 * A guest that changed while it ran, through a real kexec: its disk has an overlay that was taken live, and
 * it has a NIC that was plugged in. The next QEMU, in the next kernel, has both; each byte of the disk that
 * was written before and after the snapshot is there.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { GuestMonitor } from '../scenario/guest-monitor.ts'
import { expectReady, liveUpdate, updateOnce } from '../scenario/live-update.ts'
import { expectClean, onlyVm } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

/** Under emulation on a busy machine, mount and resume are slow. */
const PATIENCE_MS = 240_000
/** QEMU makes the tap itself. */
const TAP = 'modprobe tun'
const MONITOR = '/run/living.monitor'
/** Where QEMU's own output goes: that of `run`, and of a QEMU that `resume` started. */
const OUTPUT = {
  before: '/run/testbed/logs/run',
  'in the next kernel': '/run/guestmemfs/vm/guest/log',
} as const
const DISK = '/mnt/guestmemfs/disk'
const OVERLAY = '/mnt/guestmemfs/overlay'
const QEMU = guestCommand({
  name: 'guest',
  mebibytes: 300,
  kernel: 'tiny-guest',
  words: [
    `-monitor unix:${MONITOR},server,nowait -device pcie-root-port,id=port0,chassis=1`,
    `-drive if=none,id=disk,file=${DISK},format=raw -device virtio-blk-pci,drive=disk,id=vda`,
  ].join(' \\\n  '),
})
const monitor = new GuestMonitor(MONITOR)

/** 64 KiB each: the byte that was written, and where. */
const BEFORE = { byte: '0x5a', at: '0' }
const AFTER = { byte: '0xa5', at: '64k' }

export const living: Scenario = {
  about: 'a guest whose disk got an overlay and that got a NIC while it ran, through a real kexec',
  tier: 'testbed',
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '4G',
  timeoutMs: 900_000,
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, next, phase, guest } = stage
    const ram = guest('guest')
    await phase('mount', () => host.run(`mkdir -p /mnt/guestmemfs; ${MOUNT}`))
    await host.run(`dd if=/dev/zero of=${DISK} bs=1M count=8 2>&1; ${TAP}`)
    await host.start('run', `exec guestmemfs run --name guest -- ${QEMU}`)
    await phase('guest runs', () => ram.waitForTicks(20))

    await phase('the guest changes', () => change(stage))
    await host.atBoot(`${TAP}; mkdir -p /mnt/guestmemfs; ${MOUNT} --resume`, { alone: true })
    await expectReady(stage, liveUpdate(next))
    await phase('live update', () => updateOnce(stage, [ram], 'report'))
    await expectChanged(stage, 'in the next kernel')
    const { state } = await onlyVm(host)
    stage.expect('guest', state, 'running')
    await ram.waitForTicks(20, PATIENCE_MS)
    await expectClean(stage)
  },
}

async function change(stage: Stage): Promise<void> {
  const { host } = stage
  await host.run(
    monitor.say(
      `qemu-io disk "write -P ${BEFORE.byte} ${BEFORE.at} 64k"`,
      `snapshot_blkdev disk ${OVERLAY} qcow2`,
      `qemu-io disk "write -P ${AFTER.byte} ${AFTER.at} 64k"`,
      'netdev_add tap,id=net1,ifname=gm0,script=no,downscript=no',
      'device_add virtio-net-pci,id=nic1,netdev=net1,bus=port0,mac=52:54:00:00:00:07',
    ),
  )
  await expectChanged(stage, 'before')
}

async function expectChanged({ host, expect }: Stage, when: keyof typeof OUTPUT): Promise<void> {
  expect(
    `disk, ${when}`,
    await host.run(monitor.say('info block disk')),
    new RegExp(`: ${OVERLAY} \\(qcow2\\)`),
  )
  expect(
    `network, ${when}`,
    await host.run(monitor.say('info network')),
    /nic1: .*52:54:00:00:00:07[\s\S]*net1: .*ifname=gm0/,
  )
  // QEMU prints what `qemu-io` finds on its own output.
  await host.run(
    monitor.say(...[BEFORE, AFTER].map(({ byte, at }) => `qemu-io disk "read -P ${byte} ${at} 64k"`)),
  )
  const told = await host.run(`tail -c 2000 ${OUTPUT[when]}`)
  const found = told.split('\n').filter((line) => /^read |failed/.test(line))
  expect(
    `bytes, ${when}`,
    found.slice(-2).map((line) => line.replace(/ at offset.*/, '')),
    Array(2).fill('read 65536/65536 bytes'),
  )
}
