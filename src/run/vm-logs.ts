/**
 * The bound of VMs' logs. What a QEMU without a terminal writes goes straight into
 * `/run/guestmemfs/vm/NAME/log`, with `-serial stdio` all that its guest prints, and a full /run would fail
 * every other pool and VM. Each keeper cuts all of them, since one runs wherever guests do; flock(2) keeps
 * two from one log. Must not: throw, since a log must not end a process that holds guests' memory.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { errnoOfNodeError } from '../linux/library.ts'
import { flockNow } from '../linux/lock-file.ts'
import type { Fd } from '../values/ids.ts'
import { MIB } from '../values/units.ts'
import { VMS } from './paths.ts'

const MAX_BYTES = MIB
/** The end of a log, which an operator reads after a failure. */
const KEPT_BYTES = MIB / 4
/** What a QEMU may write meanwhile is beyond the bound: some hundred MiB at the most. */
const LOOK_EVERY_MS = 2000

/** From now on, until this process ends. Does not keep it from ending. */
export const boundVmLogs = (): void => void setInterval(cutVmLogs, LOOK_EVERY_MS).unref()

/** Cuts each log that is too long down to its end. */
export function cutVmLogs(folder = VMS): void {
  for (const name of namesIn(folder)) {
    try {
      cutLog(join(folder, name, 'log'))
    } catch (error) {
      errnoOfNodeError(error) // There is none, or /run is read-only.
    }
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    errnoOfNodeError(error)
    return []
  }
}

/**
 * QEMU appends (O_APPEND), and goes on at the new end. What it writes between the read and the cut is lost;
 * what it writes after the cut may stand before the part that was kept.
 */
function cutLog(path: string): void {
  const fd = openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW) as Fd
  try {
    if (fstatSync(fd).size <= MAX_BYTES || flockNow(fd) !== undefined) return
    const { size } = fstatSync(fd)
    if (size <= MAX_BYTES) return // Another keeper has cut it.
    const end = Buffer.alloc(KEPT_BYTES)
    const length = readSync(fd, end, 0, KEPT_BYTES, size - KEPT_BYTES)
    ftruncateSync(fd, 0)
    writeSync(fd, `(${size - length} bytes of output before this were cut off)\n`)
    writeSync(fd, end.subarray(0, length))
  } finally {
    closeSync(fd)
  }
}
