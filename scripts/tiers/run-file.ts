/** One test file of node:test as a job: its events, and its faults as a whole. Must not: print. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestEvent } from './event-log.ts'
import { type Place, runChild } from './run-child.ts'

export interface JobResult {
  readonly path: string
  readonly events: readonly TestEvent[]
  /** Faults of the job as a whole: time limit, crash, leftovers, no test at all. */
  readonly problems: readonly string[]
  readonly output: string
  readonly durationMs: number
  /** Why the run was repeated, where the emulator had failed. */
  readonly repeated?: string
}

const reporter = join(import.meta.dirname, 'event-log.ts')

function readEvents(folder: string): TestEvent[] {
  const path = join(folder, 'events')
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as TestEvent)
}

/** Problems of the file itself; an exit code that its own failed tests explain is none. */
function problemsOf(end: string | undefined, events: readonly TestEvent[]): string[] {
  const isExplained = events.some(({ outcome }) => outcome === 'failed') && end === 'ended with exit code 1'
  if (end !== undefined && !isExplained) return [end]
  return events.length === 0 ? ['holds no test'] : []
}

export async function runFile(path: string, place: Place, timeoutMs: number): Promise<JobResult> {
  const { folder } = place
  const reporting = [`--test-reporter=${reporter}`, `--test-reporter-destination=${join(folder, 'events')}`]
  const { end, left, output, durationMs, value } = await runChild(
    [...reporting, path],
    place,
    timeoutMs,
    () => readEvents(folder),
  )
  const problems = [...problemsOf(end, value), ...left.map((what) => `left behind ${what}`)]
  return { path, events: value, problems, output, durationMs }
}
