/** Owns counting results and putting them in words. Must not run anything. */
import type { FileResult } from './run-file.ts'

export interface Tally {
  passed: number
  failed: number
  /** Reason → how many tests gave it. */
  readonly skipped: Map<string, number>
}

export const emptyTally = (): Tally => ({ passed: 0, failed: 0, skipped: new Map() })

const skip = (tally: Tally, reason: string, count = 1): void =>
  void tally.skipped.set(reason, (tally.skipped.get(reason) ?? 0) + count)

/** A problem of the file as a whole counts as one failure more. */
export function countFile(tally: Tally, { events, problems }: FileResult): void {
  tally.failed += problems.length
  for (const { outcome, reason } of events) {
    if (outcome === 'skipped') skip(tally, reason ?? 'no reason given')
    else tally[outcome] += 1
  }
}

export const countSkippedFiles = (tally: Tally, files: number, reason: string): void =>
  skip(tally, `${files} ${files === 1 ? 'file' : 'files'} not run: ${reason}`, files)

const total = (skipped: ReadonlyMap<string, number>): number =>
  [...skipped.values()].reduce((a, b) => a + b, 0)

/** `unit     412 passed, 0 failed, 1 skipped`, and a line for each reason. */
export function tallyLines(name: string, { passed, failed, skipped }: Tally): string[] {
  const counts = `${name.padEnd(7)} ${passed} passed, ${failed} failed, ${total(skipped)} skipped`
  return [counts, ...[...skipped].map(([reason, count]) => `        skipped ${count}: ${reason}`)]
}

/** One line for a file that went well, and for one that did not all that is needed to see why. */
export function fileLines({ path, events, problems, output, durationMs }: FileResult): string[] {
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
