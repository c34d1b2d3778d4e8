/**
 * `npm test`: runs the tiers one after the other and says how many tests of which tier passed, failed and
 * were skipped, and why. The last line is the sum. Must not: depend on what a test tests.
 *
 *   npm test                     the tiers unit, mount, vm, kexec
 *   npm run test:all             everything this machine can test
 *   npm test -- unit mount       these tiers
 *   npm test -- allocator        jobs whose path holds the word, of every tier
 */
import { dirname } from 'node:path'
import { endOnSignals } from './tiers/run-child.ts'
import { makeRunFolder, removeKilledRuns } from './tiers/run-folder.ts'
import { RunProgress } from './tiers/run-progress.ts'
import { endRun, runTier } from './tiers/run-tier.ts'
import { sumUp } from './tiers/sum.ts'
import type { Tally } from './tiers/tally.ts'
import { TIERS, type Tier } from './tiers/tiers.ts'

const project = dirname(import.meta.dirname)
const isAll = process.argv.includes('--all')
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const tierNames = words.filter((word) => TIERS.some(({ name }) => name === word))
const filters = words.filter((word) => !tierNames.includes(word))
const progress = new RunProgress()
for (const line of await removeKilledRuns()) progress.print(`ended what a killed run left: ${line}`)
const folder = makeRunFolder()
endOnSignals(folder)

function isAsked(tier: Tier): boolean {
  if (tierNames.length > 0) return tierNames.includes(tier.name)
  return isAll || filters.length > 0 || tier.budgetMinutes !== undefined
}

const tallies: [Tier, Tally][] = []
for (const tier of TIERS.filter(isAsked)) {
  const jobs = tier
    .jobs(project)
    .filter(({ path }) => filters.length === 0 || filters.some((word) => path.includes(word)))
  if (jobs.length > 0) tallies.push([tier, await runTier(tier, jobs, { project, folder, progress })])
}
endRun({ folder, progress })
const { lines, isGood } = sumUp(tallies)
for (const line of ['', ...lines]) progress.print(line)
process.exitCode = isGood ? 0 : 1
