/**
 * Prepares, runs, counts and prints one tier's jobs, one after the other or a few at once, and those that
 * bear no other beside them at the end. Must not: depend on what a test tests.
 */
import { rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { errorText } from '../../src/values/errors.ts'
import type { Phase } from '../../testbed/scenario/parts.ts'
import { compiledOf, outputOf } from './run-child.ts'
import { removeRunnerName } from './run-folder.ts'
import type { RunProgress } from './run-progress.ts'
import { countJob, countSkippedJobs, countUnprepared, emptyTally, jobLines, type Tally } from './tally.ts'
import type { Job, Tier } from './tiers.ts'

const PRINT_MS = 10_000

export interface Run {
  readonly project: string
  /** For the folders of jobs. Short, since the path of a socket has at most 107 bytes. */
  readonly folder: string
  readonly progress: RunProgress
}

/** After the last job: removes the folder, unless it has what a failed test left behind. */
export function endRun({ folder, progress }: Pick<Run, 'folder' | 'progress'>): void {
  progress.end()
  rmSync(compiledOf(folder), { recursive: true, force: true })
  removeRunnerName(folder)
  try {
    rmdirSync(folder)
  } catch {
    progress.print(`kept ${folder}: it holds what a failed test left behind`)
  }
}

/** `goesOn`: called before each job; where it returns false the job is left. */
export async function runTier(
  tier: Tier,
  jobs: readonly Job[],
  run: Run,
  goesOn: (job: Job) => boolean = () => true,
): Promise<Tally> {
  const tally = emptyTally()
  const phase = preparing(tier, tally, run.progress)
  if (jobs.length === 0 || !(await isReady(() => tier.obstacle(phase), jobs.length, tally))) return tally
  const startMs = performance.now()
  const before = tally.preparedMs
  const all = [...jobs.entries()]
  const drain = async (queue: typeof all): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift())
      if (goesOn(next[1]))
        await runJob(tier, next[1], join(run.folder, `${tier.name[0]}${next[0]}`), tally, phase, run)
  }
  const together = all.filter(([, { isAlone }]) => isAlone !== true)
  await Promise.all(Array.from({ length: tier.parallel }, () => drain(together)))
  await drain(all.filter(([, { isAlone }]) => isAlone === true))
  tally.ranMs = performance.now() - startMs - (tally.preparedMs - before)
  return tally
}

async function runJob(
  tier: Tier,
  job: Job,
  folder: string,
  tally: Tally,
  phase: Phase,
  { project, progress }: Run,
): Promise<void> {
  if (!(await isReady(async () => job.obstacle?.(phase), 1, tally))) return
  const work = () => job.run({ project, folder })
  const result = await progress.during(`${tier.name}: ${job.path}`, outputOf(folder), work)
  countJob(tally, result)
  for (const line of jobLines(result)) progress.print(line)
}

/**
 * False: `jobs` jobs were skipped for a reason that the operator can remove, or could not be prepared, which
 * is a failure.
 */
async function isReady(ask: () => Promise<string | undefined>, jobs: number, tally: Tally): Promise<boolean> {
  try {
    const obstacle = await ask()
    if (obstacle !== undefined) countSkippedJobs(tally, jobs, obstacle)
    return obstacle === undefined
  } catch (error) {
    countUnprepared(tally, errorText(error))
    return false
  }
}

/** Prints each step of downloads and builds, and counts their time separately. */
const preparing =
  (tier: Tier, tally: Tally, progress: RunProgress): Phase =>
  async (step, work, detail) => {
    const startMs = performance.now()
    const name = `${tier.name}: preparing, ${step}`
    const seconds = () => ((performance.now() - startMs) / 1000).toFixed(0)
    const timer = setInterval(
      () => progress.print(`… ${name}  ${seconds()} s  ${detail?.() ?? ''}`),
      PRINT_MS,
    )
    try {
      return await work()
    } finally {
      clearInterval(timer)
      const tookMs = performance.now() - startMs
      tally.preparedMs += tookMs
      if (tookMs > 1000) progress.print(`${name}: ${seconds()} s`)
    }
  }
