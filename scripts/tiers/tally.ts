/** The counts of results, and their lines for the operator. Must not: run anything. */
import type { TestEvent } from './event-log.ts'
import type { JobResult } from './run-file.ts'

export interface Tally {
  /** Of each failed job: its path and why, in a few lines, for the end of a run. */
  readonly failures: string[][]
  /** Runs that the emulator failed and that were repeated. */
  readonly repeats: string[]
  /** Why a part could not be downloaded or built. */
  readonly unprepared: string[]
  /** Without preparation. */
  ranMs: number
  /** Time of downloads, builds and installation. */
  preparedMs: number
  passed: number
  failed: number
  /** Reason → how many tests gave it. */
  readonly skipped: Map<string, number>
}

export const emptyTally = (): Tally => ({
  passed: 0,
  failed: 0,
  skipped: new Map(),
  failures: [],
  repeats: [],
  unprepared: [],
  ranMs: 0,
  preparedMs: 0,
})

const skip = (tally: Tally, reason: string, count = 1): void =>
  void tally.skipped.set(reason, (tally.skipped.get(reason) ?? 0) + count)

/** Of what a failure says, for the end of a run: its message, and not its stack. */
const REASON_LINES = 8

/** A problem of the file as a whole counts as one failure more. */
export function countJob(tally: Tally, result: JobResult): void {
  const { path, events, problems, repeated } = result
  if (isBad(result)) tally.failures.push([path, ...whyLines(result, REASON_LINES)])
  if (repeated !== undefined) tally.repeats.push(`${path}: ${repeated}`)
  tally.failed += problems.length
  for (const { outcome, reason } of events) {
    if (outcome === 'skipped') skip(tally, reason ?? 'no reason given')
    else tally[outcome] += 1
  }
}

export const countSkippedJobs = (tally: Tally, files: number, reason: string): void =>
  skip(tally, `${files} ${files === 1 ? 'job' : 'jobs'} not run: ${reason}`, files)

/** Counts a failed preparation: a mirror with wrong answers, a compiler that fails. */
export function countUnprepared(tally: Tally, reason: string): void {
  tally.failed += 1
  tally.unprepared.push(reason)
}

const total = (skipped: ReadonlyMap<string, number>): number =>
  [...skipped.values()].reduce((a, b) => a + b, 0)

function minutes(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/**
 * `unit     412 passed, 0 failed, 1 skipped  98 s of 2 min`,
 * a line for each reason and each repeat, and one for downloads and builds before, whose time is not
 * included.
 */
export function tallyLines(name: string, tally: Tally, budgetMinutes?: number): string[] {
  const { passed, failed, skipped, repeats, unprepared, ranMs, preparedMs } = tally
  const time = budgetMinutes === undefined ? minutes(ranMs) : `${minutes(ranMs)} of ${budgetMinutes} min`
  return [
    `${name.padEnd(7)} ${passed} passed, ${failed} failed, ${total(skipped)} skipped  ${time}`,
    ...(preparedMs < 1000 ? [] : [`        fetched and built before: ${minutes(preparedMs)}`]),
    ...[...skipped].map(([reason, count]) => `        skipped ${count}: ${reason}`),
    ...unprepared.map((reason) => `        FAILED to prepare: ${reason}`),
    ...repeats.map((repeat) => `        emulator, repeated once: ${repeat}`),
  ]
}

/** One line for a file that passed, and for a failed one all that shows why. */
export function jobLines(result: JobResult): string[] {
  const { path, events, output, durationMs } = result
  const bad = isBad(result)
  const skipped = events.filter(({ outcome }) => outcome === 'skipped').length
  const count = `${events.length} tests${skipped > 0 ? `, ${skipped} skipped` : ''}`
  const head = `${bad ? 'FAILED' : 'ok    '} ${path}  ${count}  ${(durationMs / 1000).toFixed(1)} s`
  if (!bad) return [head]
  return [
    head,
    ...whyLines(result),
    ...(output.trim() === ''
      ? []
      : ['       its output ended with:', ...indent(output.trimEnd().split('\n').slice(-40))]),
  ]
}

const isFailed = ({ outcome }: TestEvent): boolean => outcome === 'failed'
const isBad = ({ events, problems }: JobResult): boolean => events.some(isFailed) || problems.length > 0
const indent = (lines: readonly string[]): string[] => lines.map((line) => `         ${line}`)

/** `most`: lines of each failure's reason. */
const whyLines = ({ events, problems }: JobResult, most = Number.POSITIVE_INFINITY): string[] => [
  ...problems.map((problem) => `       ${problem}`),
  ...events
    .filter(isFailed)
    .flatMap(({ name, reason = '' }) => [`       ${name}`, ...indent(reason.split('\n').slice(0, most))]),
]
