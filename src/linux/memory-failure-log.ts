/**
 * Memory failures as the kernel logs them: `Memory failure: 0xPFN: …` (mm/memory-failure.c), the page frame
 * number in hexadecimal. For memory of a carve-out this is the only list that the kernel has:
 * /proc/kpageflags shows neither pages of device-dax (pfn_to_online_page(), fs/proc/page.c) nor memory
 * without struct pages, and the counters (HardwareCorrupted in /proc/meminfo, `memory_failure` of each node
 * in sysfs) name no page. Must not: decide what a failure means.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { EPIPE, Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { PTE_BYTES } from '../values/units.ts'
import { MAX_RECORD_BYTES, readLogRecord } from './kernel-log.ts'
import { errnoOfNodeError } from './library.ts'

/** So many one call reads: a kernel that logs without a pause must not keep the caller waiting. */
const MOST_RECORDS = 1000

/**
 * Who may write to /dev/kmsg writes records of another facility (devkmsg_write(), kernel/printk/printk.c).
 */
const FACILITY_SHIFT = 3
const KERNEL_FACILITY = 0

export interface LoggedFailures {
  /** Physical addresses of pages of `PTE_BYTES` in which memory failed, in the order of the log. */
  readonly pages: readonly number[]
  /**
   * How often records were overwritten before they could be read, or could not be: failures may be among
   * them.
   */
  readonly gaps: number
  /** There may be further records: the caller asks again. */
  readonly isMore: boolean
}

/** Reads the log of the running kernel from its beginning on, as far as its buffer still has it. */
export class MemoryFailureLog {
  /** Readable when there is a new record, whatever it is about. */
  readonly fd: Fd
  readonly #record = Buffer.alloc(MAX_RECORD_BYTES)

  private constructor(fd: Fd) {
    this.fd = fd
  }

  /** Errors: ENOENT, EPERM, EACCES: this process may not read it, or there is none. */
  static open(path = '/dev/kmsg'): MemoryFailureLog | Errno {
    try {
      return new MemoryFailureLog(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) as Fd)
    } catch (error) {
      return errnoOfNodeError(error)
    }
  }

  /** What was logged since the last call. Never waits. */
  read(): LoggedFailures {
    const pages: number[] = []
    let gaps = 0
    for (let records = 0; records < MOST_RECORDS; records++) {
      const read = readLogRecord(this.fd, this.#record)
      if (read === undefined) return { pages, gaps, isMore: false }
      if (read instanceof Errno) {
        gaps++
        if (read !== EPIPE) break
        continue
      }
      const page = failedPage(this.#record.toString('latin1', 0, read))
      if (page !== undefined) pages.push(page)
    }
    return { pages, gaps, isMore: true }
  }

  close(): void {
    closeSync(this.fd)
  }
}

/**
 * The physical address of the page that a record of the kernel says has failed. undefined: it says something
 * else, or the kernel did not write it.
 */
export function failedPage(record: string): number | undefined {
  const [, priority, frame] = /^(\d+),\d+,\d+,[^;]*;Memory failure: 0x([0-9a-f]{1,13}): /.exec(record) ?? []
  if (frame === undefined || Number(priority) >>> FACILITY_SHIFT !== KERNEL_FACILITY) return undefined
  const address = Number.parseInt(frame, 16) * PTE_BYTES
  return Number.isSafeInteger(address) ? address : undefined
}
