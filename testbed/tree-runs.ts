/**
 * The runs of scenarios on the tree as it stands, committed or not, whichever command started them: a
 * campaign counts them all. Another tree has another file. Must not: decide what is run.
 */
import { appendFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './cache.ts'
import { jsonLines, readJsonLines } from './json-lines.ts'
import type { Verdict } from './scenario/recorder.ts'
import { testedKey } from './tested.ts'

/** One run. A failure that the emulator caused was repeated; `verdict` is the last one's. */
export interface TreeRun {
  readonly scenario: string
  readonly verdict: Verdict
  readonly isRepeated: boolean
  readonly failure?: string
  readonly seconds: number
}

const PROJECT = join(import.meta.dirname, '..')
/** Paths of what is tested. */
const TESTED = ['package-lock.json', 'scripts', 'src', 'testbed']

/** A path in the cache, for the present contents of what is tested. */
export const treeRunsFile = (): string =>
  join(cacheFolder('campaigns'), `${testedKey(PROJECT, TESTED)}.jsonl`)

/** Appended whole; a run whose line was cut off does not count. */
export const noteTreeRun = (file: string, run: TreeRun): void => appendFileSync(file, jsonLines([run]))

/** Oldest first. */
export const readTreeRuns = (file: string): TreeRun[] => readJsonLines<TreeRun>(file)

/** The next campaign on this tree begins anew. */
export const removeTreeRuns = (file: string): void => rmSync(file, { force: true })
