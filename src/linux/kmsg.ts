/**
 * Single lines in the kernel's log, written so that they stand between the kernel's own around a kexec. Must
 * not: serve as a log.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import type { Errno } from '../values/errno.ts'
import { errnoOfNodeError } from './library.ts'

/** The kernel cuts what is longer (LOG_LINE_MAX, kernel/printk/printk.c); this leaves room for its prefix. */
const MAX_LINE_BYTES = 900

/**
 * Writes `guestmemfs: LINE` at level notice. Never throws where /dev/kmsg cannot be written: the errno is
 * returned and may be ignored.
 */
export function writeKernelLog(line: string): Errno | undefined {
  try {
    const fd = openSync('/dev/kmsg', constants.O_WRONLY)
    try {
      // One write is one record. Without the newline at its end the kernel keeps the record open for more,
      // and readers do not see it before the next one comes (prb_commit, kernel/printk/printk_ringbuffer.c).
      const text = Buffer.from(`<5>guestmemfs: ${line.replaceAll('\n', ' ')}`).subarray(0, MAX_LINE_BYTES)
      writeSync(fd, Buffer.concat([text, Buffer.from('\n')]))
    } finally {
      closeSync(fd)
    }
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}
