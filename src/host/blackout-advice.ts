/**
 * What makes the blackout of a kernel update longer than it must be. One sentence each, for the report after
 * a long one, and for the doctor before an update.
 */
import { formatSize } from '../values/size.ts'
import { KIB } from '../values/units.ts'

/** An initramfs of a generic configuration is much larger than what one machine needs. */
const LARGE_INITRD_BYTES = 24 * 1024 * KIB
/**
 * The console prints warnings and errors alone, or less (Documentation/admin-guide/kernel-parameters.txt).
 */
const QUIET_LEVEL = 5

/** The kernel waits for each character on a serial line: at 115200 baud a line takes 5 ms and more. */
export function consoleAdvice(commandLine: readonly string[]): string | undefined {
  const isSerial = commandLine.some((word) => /^console=(ttyS|ttyAMA|hvc)/.test(word))
  return isSerial && !isQuiet(commandLine)
    ? 'quiet on the command line: the kernel waits for its serial console'
    : undefined
}

function isQuiet(commandLine: readonly string[]): boolean {
  const levels = commandLine.flatMap((word) => /^loglevel=(\d+)$/.exec(word)?.[1] ?? [])
  return commandLine.includes('quiet') || Number(levels.at(-1) ?? QUIET_LEVEL + 1) < QUIET_LEVEL
}

export const initrdAdvice = (sizeBytes: number): string | undefined =>
  sizeBytes < LARGE_INITRD_BYTES
    ? undefined
    : `a smaller initramfs than one of ${formatSize(sizeBytes)} (MODULES=dep), or one that is not compressed`

/** `compression`: as in CONFIG_KERNEL_…, such as `XZ`. */
export const compressionAdvice = (compression: string | undefined): string | undefined =>
  compression === undefined || ['LZ4', 'ZSTD', 'LZO', 'UNCOMPRESSED'].includes(compression)
    ? undefined
    : `a kernel compressed by lz4 or zstd: ${compression.toLowerCase()} takes longer to unpack`

/**
 * Without KHO the kernel that loads can place the next one where it will run, if there is contiguous memory
 * for it; else kexec copies each page there after the old kernel has ended.
 */
export const copyAdvice = (commandLine: readonly string[], hasKho: boolean): string | undefined =>
  hasKho || commandLine.some((word) => /^cma=[1-9]/.test(word))
    ? undefined
    : 'cma=128M on the command line: kexec then loads the next kernel where it will run, and copies nothing'

/** Of what a pool waits for at boot. */
export function unitAdvice(unit: string): string {
  if (unit.endsWith('.device'))
    return 'the pool waited for this device: does anything that its mount needs come from it?'
  if (unit === 'systemd-udev-settle.service')
    return 'it waits for all devices: remove what asks for it (systemctl list-dependencies --reverse)'
  if (unit === 'network-online.target' || unit.includes('wait-online'))
    return 'it waits for a network that a pool does not need: _netdev in fstab, or an After= of yours'
  return `what orders it before the pool: systemctl list-dependencies --before ${unit}`
}
