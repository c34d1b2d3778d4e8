/**
 * A Linux guest with a network card of the host's (VFIO), on a host with an emulated IOMMU: its agent
 * suspends it for a new QEMU and for a new kernel, and its one TCP connection over that card goes on. In the
 * next kernel the card is bound to vfio-pci only after the mount has begun, and the guest waits for it.
 *
 * QEMU emulates the guest's processor: where the host itself is emulated, KVM ends a guest at the first store
 * to a device after an update (see many.ts). Debian's cloud kernels have no IOMMUFD.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FILES, guestCommand } from '../guests/qemu.ts'
import { buildWatchingGuest } from '../guests/watching-guest.ts'
import { PASSED_NIC } from '../machine/passed-nic.ts'
import { doctorLines } from '../scenario/guest-nodes.ts'
import { expectReady, liveUpdate, updateOnce } from '../scenario/live-update.ts'
import { expectClean, onlyVm, printed, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

/** An emulated guest in an emulated host takes its time, above all to suspend and to wake. */
const PATIENCE_MS = 600_000
const STEP = '5m'
const RAM_MIB = 256
const AGENT = '/run/guest-agent'
/** Enough that the card is used some times. */
const TICKS = 6

const DEVICE = `/sys/bus/pci/devices/${PASSED_NIC}`
/** As driverctl does it. */
const BIND = `for module in vfio_iommu_type1 vfio_pci; do modprobe $module; done
echo vfio-pci >${DEVICE}/driver_override
[ ! -e ${DEVICE}/driver ] || echo ${PASSED_NIC} >${DEVICE}/driver/unbind
echo ${PASSED_NIC} >/sys/bus/pci/drivers/vfio-pci/bind`
/** After the mounting command has looked for guests that need not wait for it. */
const BIND_LATE = `sleep 5\n${BIND}`

const COMMAND = guestCommand({
  name: 'guest',
  mebibytes: RAM_MIB,
  accelerator: 'tcg',
  // With SeaBIOS a q35 machine does not wake up whole.
  machine: 'pc',
  kernel: 'linux',
  words: [
    `-initrd ${FILES}/linux-initrd -append 'console=ttyS0 quiet watch=agent'`,
    `-chardev socket,id=qga0,path=${AGENT},server=on,wait=off -device virtio-serial-pci`,
    '-device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0',
    `-device vfio-pci,host=${PASSED_NIC},id=nic0`,
  ].join(' \\\n  '),
})

export const vfio: Scenario = {
  about: 'a Linux guest with a NIC by VFIO, suspended by its agent, through a new QEMU and a real kexec',
  tier: 'long',
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '4G',
  timeoutMs: 2400_000,
  append: `${CARVE_OUT} intel_iommu=on`,
  hasPeer: true,
  passesNic: true,
  files: linuxFiles,
  async run(stage) {
    const { host, next, phase, guest, expect } = stage
    const ticks = guest('guest')
    await phase('mount', () => host.run(`mkdir -p /mnt/guestmemfs; ${MOUNT}`))
    await host.run(`touch /mnt/guestmemfs/guest-ram && truncate -s ${RAM_MIB}M /mnt/guestmemfs/guest-ram`)
    await host.run(BIND)
    expect(
      'doctor',
      (await doctorLines(stage, /^passthrough$/)).join(),
      new RegExp(
        `^ok passthrough: ${PASSED_NIC} bound to VFIO, .* Linux 6\\.12 keeps no DMA mapping over a kexec`,
      ),
    )
    await host.start('run', `exec guestmemfs run --name guest -- ${COMMAND}`)
    await phase('guest runs', () => ticks.waitForTicks(TICKS, PATIENCE_MS))
    await expectWhole(stage, 'before', 0)

    await phase('a new QEMU', () => updateQemu(stage))
    await phase('the guest uses its card', () => ticks.waitForTicks(TICKS, PATIENCE_MS))
    await expectWhole(stage, 'in a new QEMU', 1)

    await phase('another client of the agent', () => refuseBusyAgent(stage))
    await host.atBoot(`mkdir -p /mnt/guestmemfs\n${MOUNT} --resume &\n${BIND_LATE}\nwait $!`, { alone: true })
    await expectReady(stage, liveUpdate(next))
    await phase('live update', () => updateOnce(stage, [ticks], 'report'))
    await phase('the guest uses its card again', () => ticks.waitForTicks(TICKS, PATIENCE_MS))
    await expectWhole(stage, 'in the next kernel', 2)
    expect('guest', (await onlyVm(host)).state, 'running')
    await expectClean(stage)
  },
}

async function linuxFiles(): Promise<Record<string, Uint8Array>> {
  const folder = mkdtempSync(join(tmpdir(), 'vfio-guest-'))
  try {
    const { kernel, initrd } = await buildWatchingGuest(folder, ['agent'])
    return { linux: readFileSync(kernel), 'linux-initrd': readFileSync(initrd) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function updateQemu({ host, keep, expect }: Stage): Promise<void> {
  const options = { timeoutMs: PATIENCE_MS }
  const { reports } = await printed(host, 'live-update', `--vmm-only --timeout ${STEP}`, options)
  const [report] = reports
  keep('report of the new QEMU', report)
  const [vm] = report?.vms ?? []
  expect('a new QEMU', [vm?.outcome, vm?.problem ?? null], ['updated', null])
  expect('its old one ends first', vm?.quitFirst ?? '', /one process alone can have .*vfio-pci/)
}

/** A guest that could not be suspended is refused before anything is done to it. */
async function refuseBusyAgent({ host, guest, expect }: Stage): Promise<void> {
  const { pid } = await host.start('other client', `exec socat -u UNIX-CONNECT:${AGENT} -`)
  await host.run('sleep 1')
  const words = await refusal(host, 'guestmemfs live-update --vmm-only')
  expect('refused', words, /it can be saved only while it is suspended \(VFIO device nic0\): another program/)
  await host.run(`kill -TERM -${pid}; sleep 1`)
  await guest('guest').waitForTicks(2, PATIENCE_MS)
}

/** The guest's own checks are in its ticks: here is what it cannot see. `times`: that it was suspended. */
async function expectWhole({ host, peer, expect }: Stage, when: string, times: number): Promise<void> {
  const { text } = host.log('guest')
  expect(`faults, ${when}`, text.match(/^fault: .*$/gm) ?? [], [])
  expect(
    `suspensions, ${when}`,
    [...text.matchAll(/^suspended (\d+) times/gm)].map(([, count]) => Number(count)),
    Array.from({ length: times }, (_, index) => index + 1),
  )
  const { pid } = await onlyVm(host)
  expect(`its QEMU has the card, ${when}`, await host.run(`ls -l /proc/${pid}/fd`), /vfio-device/)
  // One connection, of which no line is lost or doubled; the guest looks at what comes back.
  const lines = [...(peer?.lines ?? [])]
  expect(`lines of the connection, ${when}`, lines.length >= TICKS, true)
  const from = Number(lines[0]?.slice('line '.length))
  expect(
    `its lines in order, ${when}`,
    lines,
    Array.from(lines, (_, index) => `line ${from + index}`),
  )
}
