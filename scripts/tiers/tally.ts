/** The counts of results, and their lines for people. Must not: run anything. */
import type { JobResult } from './run-file.ts'

export interface Tally {
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
  repeats: [],
  unprepared: [],
  ranMs: 0,
  preparedMs: 0,
})

const skip = (tally: Tally, reason: string, count = 1): void =>
  void tally.skipped.set(reason, (tally.skipped.get(reason) ?? 0) + count)

/** A problem of the file as a whole counts as one failure more. */
export function countJob(tally: Tally, { path, events, problems, repeated }: JobResult): void {
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
export function jobLines({ path, events, problems, output, durationMs }: JobResult): string[] {
  const failures = events.filter(({ outcome }) => outcome === 'failed')
  const bad = failures.length > 0 || problems.length > 0
  const skipped = events.filter(({ outcome }) => outcome === 'skipped').length
  const count = `${events.length} tests${skipped > 0 ? `, ${skipped} skipped` : ''}`
  const head = `${bad ? 'FAILED' : 'ok    '} ${path}  ${count}  ${(durationMs / 1000).toFixed(1)} s`
  if (!bad) return [head]
  const indent = (text: string): string[] => text.split('\n').map((line) => `         ${line}`)
  return [
    head,
    ...problems.map((problem) => `       ${problem}`),
    ...failures.flatMap(({ name, reason }) => [`       ${name}`, ...indent(reason ?? '')]),
    ...(output.trim() === ''
      ? []
      : ['       its output ended with:', ...indent(output.trimEnd().split('\n').slice(-40).join('\n'))]),
  ]
}
