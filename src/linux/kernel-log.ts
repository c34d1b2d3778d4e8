/** The kernel's log since its start, as far as its buffer still has it. */
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { EAGAIN, EPIPE, type Errno } from '../values/errno.ts'
import { errnoOfNodeError } from './library.ts'

export interface KernelLine {
  /** By CLOCK_MONOTONIC, near enough: printk's clock begins with the kernel's. */
  readonly atUs: number
  readonly text: string
}

/** A read of /dev/kmsg returns one record; a longer one fails (Documentation/ABI/testing/dev-kmsg). */
export const MAX_RECORD_BYTES = 8192

/**
 * The caller needs the beginning of the log; a kernel that logs faster than this process reads must not keep
 * it here.
 */
const MOST_LINES = 20_000

/** Empty where the log may not be read. */
export function readKernelLog(path = '/dev/kmsg'): KernelLine[] {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return []
  }
  const lines: KernelLine[] = []
  const record = Buffer.alloc(MAX_RECORD_BYTES)
  try {
    while (lines.length < MOST_LINES) {
      const read = readLogRecord(fd, record)
      if (read === undefined) return lines
      if (read === EPIPE) continue
      if (typeof read !== 'number') return lines
      const line = parseKernelLine(record.toString('latin1', 0, read))
      if (line !== undefined) lines.push(line)
    }
    return lines
  } finally {
    closeSync(fd)
  }
}

/**
 * Bytes of the next record. undefined: there is no further one. Errors: EPIPE, records were overwritten
 * before they could be read, and the next call reads behind them.
 */
export function readLogRecord(fd: number, into: Buffer): number | Errno | undefined {
  try {
    const read = readSync(fd, into)
    return read === 0 ? undefined : read
  } catch (error) {
    const errno = errnoOfNodeError(error)
    return errno === EAGAIN ? undefined : errno
  }
}

/** `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,…];TEXT`, and lines with properties behind it. */
export function parseKernelLine(record: string): KernelLine | undefined {
  const [, atUs, text] = /^\d+,\d+,(\d+),[^;]*;([^\n]*)/.exec(record) ?? []
  return text === undefined ? undefined : { atUs: Number(atUs), text }
}
