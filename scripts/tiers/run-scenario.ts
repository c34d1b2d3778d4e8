/** One scenario of the testbed as a job with one test, by its summary. Must not: print. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTail } from '../../testbed/machine/evidence.ts'
import type { Summary } from '../../testbed/scenario/recorder.ts'
import type { TestEvent } from './event-log.ts'
import { type Place, runChild } from './run-child.ts'
import type { JobResult } from './run-file.ts'

type Said = Summary & { readonly repeated?: Summary }

function readSummary(file: string): Said | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Said) : undefined
}

export async function runScenarioJob(
  name: string,
  about: string,
  place: Place,
  timeoutMs: number,
): Promise<JobResult> {
  const file = join(place.folder, 'summary')
  const args = ['testbed/main.ts', name, '--summary', file]
  const { end, left, output, durationMs, value } = await runChild(args, place, timeoutMs, () =>
    readSummary(file),
  )
  const repeated = value?.repeated?.emulator
  return {
    path: `scenario ${name}`,
    events: value === undefined ? [] : [eventOf(about, value)],
    problems: [
      ...(value === undefined ? [end ?? 'left no summary'] : []),
      ...(value?.verdict === 'passed' && end !== undefined ? [`passed, and then ${end}`] : []),
      ...left.map((what) => `left behind ${what}`),
    ],
    output,
    durationMs,
    ...(repeated === undefined ? {} : { repeated }),
  }
}

function eventOf(about: string, { verdict, failure, folder }: Said): TestEvent {
  if (verdict === 'passed') return { name: about, outcome: 'passed' }
  const guests = folder === undefined ? '' : readTail(join(folder, 'logs', 'guests')).trimEnd()
  const reason = [failure, guests, `consoles and logs: ${folder}`].filter((line) => line !== '').join('\n')
  return { name: about, outcome: 'failed', reason }
}
