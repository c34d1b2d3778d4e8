/**
 * The machine's hardware clock (RTC), read alone: it runs on across a kexec and shows whole seconds. A new
 * kernel sets its wall clock from it; the RTC still shows the fraction of a second by which that was off.
 * Source: drivers/rtc/sysfs.c.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOfNodeError } from './library.ts'

const SINCE_EPOCH = '/sys/class/rtc/rtc0/since_epoch'
const POLL_MS = 2
/** A second, and a little more. */
const TIMEOUT_MS = 1_500

export interface ClockOffset {
  /** By how much the wall clock is ahead of the RTC. */
  readonly offsetMs: number
  /** The largest error of that, to either side. */
  readonly uncertaintyMs: number
}

/** Waits up to a second, for the RTC's next one to begin. Undefined: there is no RTC, or it does not run. */
export async function measureClockOffset(path: string = SINCE_EPOCH): Promise<ClockOffset | undefined> {
  const first = readSeconds(path)
  if (first === undefined) return undefined
  const deadline = performance.now() + TIMEOUT_MS
  for (let before = Date.now(); performance.now() < deadline; ) {
    const after = Date.now()
    const seconds = readSeconds(path)
    const read = Date.now()
    if (seconds === undefined) return undefined
    if (seconds !== first) {
      // The RTC changed after the last read began and before this one ended.
      return { offsetMs: (before + read) / 2 - seconds * 1000, uncertaintyMs: (read - before) / 2 }
    }
    before = after
    await sleep(POLL_MS)
  }
  return undefined
}

function readSeconds(path: string): number | undefined {
  try {
    const seconds = Number(readFileSync(path, 'latin1'))
    return Number.isSafeInteger(seconds) ? seconds : undefined
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
}
