/**
 * Steps of a kernel update that the operator takes by hand: the seed's guest is saved through its monitor,
 * the next kernel loaded and entered, the guest restored. Each is a phase, or two.
 *
 * Must not: freeze, hand over or mount a pool, which each scenario does in its own way.
 */
import { SEED_MONITOR } from '../guests/qemu.ts'
import { GuestMonitor } from './guest-monitor.ts'
import type { BootChoice, Stage } from './scenario.ts'

const GUEST = 'guest'
const TICKS = 20
const END_TIMEOUT_MS = 60_000
/** The file to which the seed saves its guest. */
const STATE_FILE = '/mnt/guestmemfs/qemu.sav'
const monitor = new GuestMonitor(SEED_MONITOR)

/** `commandLine`: an option of kexec(8); default: the command line of the running kernel. */
export const loadKernel = ({ vmlinuz, initramfs }: BootChoice, commandLine = '--reuse-cmdline'): string =>
  `kexec -s -l ${vmlinuz} --initrd=${initramfs} ${commandLine}`

/** Into the kernel that is loaded. */
export const JUMP = 'sync; kexec -e'

/** `qemu`: a script that ends in the seed's line. Returns QEMU's pid when the guest runs. */
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

/** `atBoot`: a script that the next boot runs. */
export async function kexecByHand({ host, next, phase }: Stage, atBoot?: string): Promise<void> {
  await phase('load next kernel', async () => {
    if (atBoot !== undefined) await host.atBoot(atBoot)
    await host.run(loadKernel(next))
  })
  await phase('kexec', () => host.jump(JUMP))
}

/** `qemu`: as for `startSeed`. Returns the new QEMU's pid when the guest runs. */
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
