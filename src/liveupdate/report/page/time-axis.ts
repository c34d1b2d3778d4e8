/**
 * The time axis that all guests of the page share: from the beginning of the update to its end, or to the
 * last time that is known. Pure.
 */
import type { PhaseTime } from '../timeline.ts'

export interface TimeAxis {
  readonly endUs: number
  /** Evenly spaced, the beginning included. */
  readonly ticksUs: readonly number[]
}

/** A part of the axis, in percent of its length, from 0 to 100. */
export interface AxisSpan {
  readonly leftPercent: number
  readonly widthPercent: number
  /** It begins before the axis, as the wait of a guest that was saved long before. */
  readonly isCut: boolean
}

const MOST_TICKS = 5
/** Ticks closer than this would all have the same words. */
const LEAST_US = 1000
const STEPS = [1, 2, 5]

/** Times that are no number are left out. */
export function timeAxis(phases: readonly PhaseTime[], durationUs: number): TimeAxis {
  let endUs = LEAST_US
  for (const us of [durationUs, ...phases.flatMap((phase) => [phase.startUs, phaseEndUs(phase)])])
    if (Number.isFinite(us)) endUs = Math.max(endUs, us)
  const stepUs = stepOf(endUs)
  return { endUs, ticksUs: Array.from({ length: Math.floor(endUs / stepUs) + 1 }, (_, at) => at * stepUs) }
}

/** The smallest of 1, 2, 5, 10, … with at most `MOST_TICKS` of it in `endUs`. */
function stepOf(endUs: number): number {
  const power = 10 ** Math.floor(Math.log10(endUs / MOST_TICKS))
  return ([...STEPS, 10].find((step) => endUs / (step * power) <= MOST_TICKS) ?? 10) * power
}

/** A phase that ends before it begins, since a clock was set back, has the length 0. */
export const phaseEndUs = ({ startUs, durationUs }: PhaseTime): number => startUs + Math.max(0, durationUs)

/** undefined: one of the times is no number. */
export function spanOn({ endUs }: TimeAxis, fromUs: number, toUs: number): AxisSpan | undefined {
  if (!Number.isFinite(fromUs) || !Number.isFinite(toUs)) return undefined
  const percent = (us: number): number => Math.min(100, Math.max(0, (us / endUs) * 100))
  const leftPercent = rounded(percent(fromUs))
  return {
    leftPercent,
    widthPercent: Math.max(0, rounded(rounded(percent(toUs)) - leftPercent)),
    isCut: fromUs < 0,
  }
}

/** A thousandth of the width is less than a pixel, and the page has one for each phase of each guest. */
const rounded = (percent: number): number => Math.round(percent * 1000) / 1000
