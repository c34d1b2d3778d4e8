/**
 * Steps of a kernel update that a person takes by hand: the seed's guest is saved through its monitor, the
 * next kernel loaded and entered, the guest restored. Each is a phase, or two.
 *
 * Must not: freeze, hand over or mount a pool. That differs, and is each scenario's own.
 */
import { SEED_MONITOR } from '../guests/qemu.ts'
import { GuestMonitor } from './guest-monitor.ts'
import type { BootChoice, Stage } from './scenario.ts'

const GUEST = 'guest'
const TICKS = 20
const END_TIMEOUT_MS = 60_000
/** Where the seed saves its guest. */
const STATE_FILE = '/mnt/guestmemfs/qemu.sav'
const monitor = new GuestMonitor(SEED_MONITOR)

/** A word that says which command line the next kernel gets; default: this one's. */
export const loadKernel = ({ vmlinuz, initramfs }: BootChoice, commandLine = '--reuse-cmdline'): string =>
  `kexec -s -l ${vmlinuz} --initrd=${initramfs} ${commandLine}`

/** Into the kernel that is loaded. */
export const JUMP = 'sync; kexec -e'

/** `qemu`: a script that ends in the seed's line. Answers QEMU's pid when the guest runs. */
export async function startSeed({ host, phase, guest }: Stage, qemu: string): Promise<number> {
  const { pid } = await host.start(GUEST, qemu)
  await phase('guest runs', () => guest(GUEST).waitForTicks(TICKS))
  return pid
}

/** When it resolves, the guest's QEMU has ended. */
export const saveSeed = ({ host, phase, guest }: Stage, file = STATE_FILE): Promise<void> =>
  phase('save', async () => {
    await host.run(monitor.save(file))
    await guest(GUEST).log.waitForEnd(END_TIMEOUT_MS)
  })

/** `atBoot`: what the next kernel's boot runs. */
export async function kexecByHand({ host, next, phase }: Stage, atBoot?: string): Promise<void> {
  await phase('load next kernel', async () => {
    if (atBoot !== undefined) await host.atBoot(atBoot)
    await host.run(loadKernel(next))
  })
  await phase('kexec', () => host.jump(JUMP))
}

/** `qemu`: as for `startSeed`. Answers the new QEMU's pid when the guest runs on. */
export async function restoreSeed(
  { host, phase, guest }: Stage,
  qemu: string,
  file = STATE_FILE,
): Promise<number> {
  const pid = await phase('restore', async () => {
    const started = await host.start(GUEST, `${qemu} -incoming defer`)
    await host.run(monitor.restore(file))
    return started.pid
  })
  await phase('guest runs on', () => guest(GUEST).waitForTicks(TICKS))
  return pid
}
