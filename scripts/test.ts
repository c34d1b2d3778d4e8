/**
 * `npm test`: runs the tiers one after the other and says how many tests of which tier passed, failed and were skipped, and why.
 * The last line is the sum. Must not know what a test tests.
 *
 *   npm test                     what a person waits for: unit, mount, vm, kexec
 *   npm run test:all             everything this machine can test
 *   npm test -- unit mount       these tiers
 *   npm test -- allocator        jobs whose path holds the word, of every tier
 */
import { mkdtempSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isTooOften, ledgerLine, readLedger } from '../testbed/scenario/ledger.ts'
import type { Phase } from '../testbed/scenario/parts.ts'
import { Life } from './tiers/life.ts'
import { outputOf } from './tiers/run-child.ts'
import { countJob, countSkippedJobs, emptyTally, jobLines, type Tally, tallyLines } from './tiers/tally.ts'
import { type Job, TIERS, type Tier } from './tiers/tiers.ts'

const project = dirname(import.meta.dirname)
const isAll = process.argv.includes('--all')
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const tierNames = words.filter((word) => TIERS.some(({ name }) => name === word))
const filters = words.filter((word) => !tierNames.includes(word))
const life = new Life()

/** Short, because the sockets of pools and guests lie below it and their paths end at 107 bytes. */
const runFolder = mkdtempSync('/tmp/gm-')

function isAsked(tier: Tier): boolean {
  if (tierNames.length > 0) return tierNames.includes(tier.name)
  return isAll || filters.length > 0 || tier.budgetMinutes !== undefined
}

/** What is fetched or built is told, step by step, and its time kept apart. */
const preparing =
  (tier: Tier, tally: Tally): Phase =>
  async (step, work, detail) => {
    const startMs = performance.now()
    const name = `${tier.name}: preparing, ${step}`
    const seconds = () => ((performance.now() - startMs) / 1000).toFixed(0)
    const timer = setInterval(() => life.say(`… ${name}  ${seconds()} s  ${detail?.() ?? ''}`), 10_000)
    try {
      return await work()
    } finally {
      clearInterval(timer)
      const tookMs = performance.now() - startMs
      tally.preparedMs += tookMs
      if (tookMs > 1000) life.say(`${name}: ${seconds()} s`)
    }
  }

async function runTier(tier: Tier): Promise<Tally> {
  const tally = emptyTally()
  const jobs = tier.jobs(project).filter(({ path }) => {
    return filters.length === 0 || filters.some((word) => path.includes(word))
  })
  const phase = preparing(tier, tally)
  const obstacle = jobs.length === 0 ? undefined : await tier.obstacle(phase)
  if (obstacle !== undefined) {
    countSkippedJobs(tally, jobs.length, obstacle)
    return tally
  }
  const startMs = performance.now()
  const before = tally.preparedMs
  await runJobs(tier, jobs, tally, phase)
  tally.ranMs = performance.now() - startMs - (tally.preparedMs - before)
  return tally
}

/** `parallel` workers take jobs from one list until it is empty. */
async function runJobs(tier: Tier, jobs: readonly Job[], tally: Tally, phase: Phase): Promise<void> {
  const queue = [...jobs.entries()]
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [index, job] = next
      const folder = join(runFolder, `${tier.name[0]}${index}`)
      const obstacle = await job.obstacle?.(phase)
      if (obstacle !== undefined) {
        countSkippedJobs(tally, 1, obstacle)
        continue
      }
      const result = await life.during(`${tier.name}: ${job.path}`, outputOf(folder), () =>
        job.run({ project, folder }),
      )
      countJob(tally, result)
      for (const line of jobLines(result)) life.say(line)
    }
  }
  await Promise.all(Array.from({ length: tier.parallel }, worker))
}

const tallies: [Tier, Tally][] = []
for (const tier of TIERS.filter(isAsked)) tallies.push([tier, await runTier(tier)])
life.end()
try {
  rmdirSync(runFolder)
} catch {
  life.say(`kept ${runFolder}: it holds what a failed test left behind`)
}

life.say('')
for (const [{ name, budgetMinutes }, tally] of tallies)
  for (const line of tallyLines(name, tally, budgetMinutes)) life.say(line)
const sum = (pick: (tally: Tally) => number): number =>
  tallies.reduce((total, [, tally]) => total + pick(tally), 0)
const passed = sum((tally) => tally.passed)
let failed = sum((tally) => tally.failed)
if (sum((tally) => tally.repeats.length) > 0) {
  const ledger = readLedger()
  life.say(ledgerLine(ledger))
  if (isTooOften(ledger)) {
    life.say('FAILED  that is more than one in twenty: what passes here proves nothing (testbed/README.md)')
    failed += 1
  }
}
if (passed + failed === 0) life.say('no test ran')
life.say(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
