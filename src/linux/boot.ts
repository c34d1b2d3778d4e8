/** Owns which boot of the machine this is, and when it began. */
import { readFileSync } from 'node:fs'
import { processStartTime } from './process.ts'

/** Differs from kernel to kernel, also across a kexec (drivers/char/random.c). */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}

/** When this kernel's clocks began to run, in milliseconds since the epoch. A time a machine spent suspended is not counted. */
export function kernelStartMs(): number {
  return performance.timeOrigin + performance.now() - Number(process.hrtime.bigint()) / 1e6
}

/** Ticks of /proc/PID/stat in a second: USER_HZ, which the kernel's ABI fixes on x86-64 and arm64. */
const USER_HZ = 100

/**
 * When this very process was started, earlier than any code of ours runs in it. Milliseconds since the epoch, as fine as
 * a tick.
 */
export function ownStartMs(): number {
  const startTime = processStartTime(process.pid)
  return startTime === undefined
    ? performance.timeOrigin
    : kernelStartMs() + (Number(startTime) * 1000) / USER_HZ
}
