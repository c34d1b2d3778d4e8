/**
 * One timeline from the times of two kernels: those in the old one's update record, and those measured in the
 * new one. Pure.
 *
 * The new kernel's clock was set from the RTC, which shows whole seconds. Both kernels measured how far their
 * clock is off the RTC, and the difference is how far the new clock is off the old one; where one of them
 * could not, it is known to within a second.
 */
import type { ClockOffset } from '../../linux/rtc.ts'
import type { UpdateRecord } from '../kernel/update-record.ts'
import { type Phase, type PhaseTime, toUs, type VmTimeline } from './timeline.ts'

/** Times of the new kernel, in milliseconds since the epoch by its own clock. */
export interface BootTimes {
  /** Its clocks began to run. */
  readonly kernelStartMs: number
  /** Mounting began, or the unit did that lets guests go on before it. */
  readonly mountStartMs: number
  readonly servedAtMs: number
  /** `resume` began: the origin of the timelines it made. */
  readonly resumedAtMs: number
  readonly rtc: ClockOffset | undefined
}

export interface ClockShift {
  /** To be subtracted from times by the new clock to get times by the old one. */
  readonly shiftMs: number
  readonly uncertaintyMs: number
}

const RTC_RESOLUTION_MS = 1000

export function clockShift(before: UpdateRecord['rtc'], after: ClockOffset | undefined): ClockShift {
  if (before === null || after === undefined) return { shiftMs: 0, uncertaintyMs: RTC_RESOLUTION_MS }
  return {
    shiftMs: after.offsetMs - before.offsetMs,
    uncertaintyMs: before.uncertaintyMs + after.uncertaintyMs,
  }
}

/**
 * `resumed`: a guest's timeline as `resumeVm` made it. `stoppedAtMs`: undefined for a guest that did not run.
 * A guest that was saved before the update began is no part of it, and keeps its timeline.
 */
export function joinTimeline(
  resumed: VmTimeline,
  stoppedAtMs: number | undefined,
  record: UpdateRecord,
  boot: BootTimes,
): VmTimeline {
  if (stoppedAtMs !== undefined && stoppedAtMs < record.startedAtMs) return resumed
  const { shiftMs } = clockShift(record.rtc, boot.rtc)
  const byOldClock = (ms: number): number => ms - shiftMs
  const { name } = resumed
  const savedAtMs = record.savedAtMs[name] ?? record.jumpAtMs
  const own = resumed.phases.map(({ phase, startUs, durationUs }) => {
    const endMs = boot.resumedAtMs + (startUs + durationUs) / 1000
    return [phase, byOldClock(endMs)] as const
  })
  const ends: (readonly [Phase, number])[] = [
    ['save', savedAtMs],
    ['freeze', record.frozenAtMs ?? record.jumpAtMs],
    ...(record.frozenAtMs === undefined ? [] : [['preserve', record.jumpAtMs] as const]),
    ['jump', byOldClock(boot.kernelStartMs)],
    ['boot', byOldClock(boot.mountStartMs)],
    // A guest whose QEMU was started before the mount waited only for what came before that.
    ['mount', Math.min(byOldClock(boot.servedAtMs), own[0]?.[1] ?? Number.POSITIVE_INFINITY)],
    ...own,
  ]
  const beginMs = stoppedAtMs ?? savedAtMs
  const phases = phasesBetween(beginMs, ends, record.startedAtMs)
  const runs = resumed.outcome === 'resumed' && stoppedAtMs !== undefined
  return {
    ...resumed,
    outcome: resumed.outcome === 'resumed' ? 'updated' : resumed.outcome,
    phases,
    blackoutUs: runs ? phases.reduce((sum, { durationUs }) => sum + durationUs, 0) : null,
  }
}

/**
 * Each phase begins where the one before it ended. None is negative, even if the clocks disagree a little.
 */
function phasesBetween(
  beginMs: number,
  ends: readonly (readonly [Phase, number])[],
  originMs: number,
): PhaseTime[] {
  let lastMs = beginMs
  return ends.map(([phase, atMs]) => {
    const endMs = Math.max(lastMs, atMs)
    const time = { phase, startUs: toUs(lastMs - originMs), durationUs: toUs(endMs - lastMs) }
    lastMs = endMs
    return time
  })
}
