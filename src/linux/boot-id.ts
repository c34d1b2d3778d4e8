/** The id of this boot of the machine, and when it began. */
import { readFileSync } from 'node:fs'

/** Differs from kernel to kernel, also across a kexec (drivers/char/random.c). */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}

/**
 * When this kernel's clocks began to run, in milliseconds since the epoch. A time a machine spent suspended
 * is not counted.
 */
export function kernelStartMs(): number {
  return performance.timeOrigin + performance.now() - Number(process.hrtime.bigint()) / 1e6
}
