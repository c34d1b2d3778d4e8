/**
 * `npm run test:turn -- --turn N --minutes M`: runs, of the scenarios that `npm test` leaves out, this turn's
 * own and as many more as fit into M minutes, and prints those that it left. Builds the kernel with the
 * orchestrator first where one needs it.
 */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { LUO, luoKernelPlace } from '../testbed/kernel/luo.ts'
import { findScenario } from '../testbed/scenarios/registry.ts'
import { endOnSignals } from './tiers/run-child.ts'
import { makeRunFolder, removeKilledRuns } from './tiers/run-folder.ts'
import { RunProgress } from './tiers/run-progress.ts'
import { endRun, runTier } from './tiers/run-tier.ts'
import { sumUp } from './tiers/sum.ts'
import { type Job, TIERS } from './tiers/tiers.ts'
import { TURNS, turnOf } from './tiers/turns.ts'

/** An upper estimate for one: where less time is left, it waits for another turn. */
const SCENARIO_MINUTES = { testbed: 5, long: 9 } as const
const KERNEL_MINUTES = 22

const project = dirname(import.meta.dirname)
const { values } = parseArgs({
  options: { turn: { type: 'string', default: '0' }, minutes: { type: 'string', default: '45' } },
})
const turn = Number(values.turn)
const deadlineMs = performance.now() + Number(values.minutes) * 60_000
const progress = new RunProgress()
for (const line of await removeKilledRuns()) progress.print(`ended what a killed run left: ${line}`)
const folder = makeRunFolder()
endOnSignals(folder)

const tiers = TIERS.filter(({ name }) => name === 'testbed' || name === 'long')
const jobs = tiers.flatMap((tier) => tier.jobs(project))
const { own, more } = turnOf(
  jobs.map(({ path }) => path),
  turn,
)
const ran: string[] = []
const byPath = new Map(jobs.map((job) => [job.path, job]))
const ordered = [...own, ...more].flatMap((path) => byPath.get(path) ?? [])

/** Without a mirror, the tier reports that. */
const kernelPlace = await luoKernelPlace().catch(() => '')

/** With the time to build a kernel where one needs it and the cache does not have it. */
function minutesOf({ path }: Job): number {
  const { tier, kernel, nextKernel } = findScenario(path.replace(/^scenario /, ''))
  const needsBuild = [kernel, nextKernel].includes(LUO) && !existsSync(kernelPlace)
  return SCENARIO_MINUTES[tier === 'long' ? 'long' : 'testbed'] + (needsBuild ? KERNEL_MINUTES : 0)
}

function goesOn(job: Job): boolean {
  const fits = performance.now() + minutesOf(job) * 60_000 < deadlineMs
  if (!own.includes(job.path) && !fits) return false
  ran.push(job.path)
  return true
}

progress.print(`turn ${turn % TURNS} of ${TURNS}: ${own.join(', ')}; then as many more as fit`)
const [tier] = tiers
if (tier === undefined) throw new Error('there is no tier of scenarios')
const tally = await runTier({ ...tier, name: 'testbed' }, ordered, { project, folder, progress }, goesOn)
endRun({ folder, progress })
const left = ordered.filter(({ path }) => !ran.includes(path)).map(({ path }) => path)
progress.print(`left for other turns: ${left.join(', ') || 'none'}`)
const { lines, isGood } = sumUp([[tier, tally]])
for (const line of lines) progress.print(line)
process.exitCode = isGood ? 0 : 1
