/**
 * Figures of live updates from their guests' reports: times by phase, growth per GiB, and formatted times.
 */
import { type Measured, slope } from '../harness.ts'
import type { GuestReport } from './one-guest.ts'

const MIB_PER_GIB = 1024

interface Reported {
  readonly sizeMib: number
  readonly report: GuestReport
}

/** Only these can depend on a guest's RAM. */
export const GUEST_PHASES = ['save', 'freeze', 'launch', 'start', 'load', 'continue']

/** All of the phases that are `wanted`, in milliseconds. */
export const phaseMs = ({ report }: Reported, wanted: readonly string[]): number =>
  report.phases.reduce(
    (sum, { phase, durationUs }) => sum + (wanted.includes(phase) ? durationUs / 1000 : 0),
    0,
  )

export const blackoutMs = ({ report }: Reported): number => report.blackoutUs / 1000

/** `blackoutMs` and one figure for each phase, such as `saveMs`. */
export function phaseSamples(updates: readonly Reported[]): Measured['samples'] {
  const phases = updates[0]?.report.phases.map(({ phase }) => phase) ?? []
  const samples = phases.map(
    (phase) => [`${phase}Ms`, updates.map((update) => phaseMs(update, [phase]))] as const,
  )
  return { blackoutMs: updates.map(blackoutMs), ...Object.fromEntries(samples) }
}

/** By how much `value` grows with each GiB. */
export const perGib = <T extends { readonly sizeMib: number }>(
  measured: readonly T[],
  value: (each: T) => number,
): number => slope(measured.map((each) => [each.sizeMib / MIB_PER_GIB, value(each)]))

export const seconds = (value: number): string => `${(value / 1000).toFixed(2)} s`
export const ms = (value: number): string => `${value.toFixed(1)} ms`
