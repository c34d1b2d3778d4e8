/**
 * Lengths of time as operators write and read them: `5s`, `200ms` or `2m` on the command line, `300 ms` for a
 * limit in a message, `26.8 ms` or `18.50 s` for what was measured.
 */
import { UsageError } from './errors.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS }
/** Far below what a timer of Node can wait for, 2^31 ms: a longer one would end at once. */
const LONGEST_MS = 24 * HOUR_MS
const PATTERN = /^(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|m|h)$/

/** A time of 600 s and more is measured to the second. */
const MINUTES_FROM_US = 600_000_000

/** Milliseconds, whole ones. `what` names the value in the error. Errors: UsageError. */
export function parseDuration(text: string, what: string): number {
  const [, digits, unit = ''] = PATTERN.exec(text.trim()) ?? []
  const ms = Math.round(Number(digits) * (UNIT_MS[unit] ?? Number.NaN))
  if (ms >= 1 && ms <= LONGEST_MS) return ms
  throw new UsageError(`${what} '${text}' is not a time: write it as 5s, 200ms or 2m, at most 24h`)
}

/** A limit that was given, `ms`, as short as it is exact: `300 ms`, `5 s`, `1.5 s`. */
export const formatTimeout = (ms: number): string =>
  ms < SECOND_MS ? `${Math.round(ms)} ms` : `${Math.round(ms / 10) / 100} s`

/**
 * What was measured, in microseconds; undefined: nothing was. A report may be damaged: any number has words.
 */
export function formatDuration(us: number | undefined): string {
  if (us === undefined) return '-'
  if (!Number.isFinite(us)) return 'unknown'
  const sign = us < 0 ? '−' : ''
  const size = Math.abs(us)
  const ms = size / 1000
  if (ms < SECOND_MS) return `${sign}${ms.toFixed(1)} ms`
  if (size < MINUTES_FROM_US) return `${sign}${(ms / SECOND_MS).toFixed(2)} s`
  const seconds = Math.round(ms / SECOND_MS)
  if (ms >= 2 * HOUR_MS) return `${sign}${(ms / HOUR_MS).toFixed(1)} h`
  return `${sign}${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
