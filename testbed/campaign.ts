/**
 * `npm run testbed -- campaign [NAME=TIMES…]`: runs every scenario of the tiers a number of times, and prints
 * a table of the results. It continues where it was stopped, and counts what `npm run test:all` has run on
 * the same tree.
 */
import { UsageError } from '../src/values/errors.ts'
import { isTooOften, ledgerLine, readLedger } from './scenario/ledger.ts'
import { runTrusted } from './scenario/trusted-run.ts'
import { findScenario, scenariosOf } from './scenarios/registry.ts'
import { readTreeRuns, removeTreeRuns, type TreeRun, treeRunsFile } from './tree-runs.ts'

const TIMES = 2
/** Several guests at once, or the most jumps: these showed the emulator's faults first. */
const OFTEN: Readonly<Record<string, number>> = { hidden: 5, many: 5, 'kho-many': 5 }

/** How often each is to run. `words`: `hidden=5`; none, what a release asks for. Throws `UsageError`. */
export function planCampaign(words: readonly string[]): Map<string, number> {
  if (words.length === 0)
    return new Map(scenariosOf('kexec', 'testbed', 'long').map((name) => [name, OFTEN[name] ?? TIMES]))
  return new Map(
    words.map((word) => {
      const [, name, times] = /^([\w-]+)=(\d{1,3})$/.exec(word) ?? []
      if (name === undefined) throw new UsageError(`${word}: name scenarios as hidden=5`)
      findScenario(name)
      return [name, Number(times)]
    }),
  )
}

/**
 * The runs that are left: one of each in turn, so that a campaign that is stopped early has run all of them.
 */
export function remaining(plan: ReadonlyMap<string, number>, done: readonly TreeRun[]): string[] {
  const left = new Map(plan)
  for (const { scenario } of done) left.set(scenario, (left.get(scenario) ?? 0) - 1)
  const most = Math.max(0, ...left.values())
  const rounds = Array.from({ length: most }, (_, round) =>
    [...left].flatMap(([name, times]) => (times > round ? [name] : [])),
  )
  return rounds.flat()
}

/** The exit code. Throws `UsageError` where the plan cannot be read, or what is tested changes meanwhile. */
export async function runCampaign(words: readonly string[], say: (line: string) => void): Promise<number> {
  const plan = planCampaign(words)
  const file = treeRunsFile()
  const left = remaining(plan, readTreeRuns(file))
  const planned = [...plan.values()].reduce((sum, times) => sum + times, 0)
  if (left.length < planned) say(`going on: ${planned - left.length} runs are done (${file})`)
  for (const [index, name] of left.entries()) {
    if (treeRunsFile() !== file)
      throw new UsageError('what is tested was changed while the campaign ran: begin it anew, in a clone')
    say(`── ${index + 1} of ${left.length}: ${name}`)
    const { summary } = await runTrusted(name, findScenario(name), {}, say)
    const { verdict, failure, folder } = summary
    say(`${name} ${verdict}${failure ? `: ${failure} (${folder})` : ''}`)
  }
  const done = readTreeRuns(file).filter(({ scenario }) => plan.has(scenario))
  process.stdout.write(campaignTable(plan, done))
  removeTreeRuns(file)
  const ledger = readLedger()
  say(ledgerLine(ledger))
  return done.every(({ verdict }) => verdict === 'passed') && !isTooOften(ledger) ? 0 : 1
}

/** A line for each scenario, as testbed/README.md has it. */
export function campaignTable(plan: ReadonlyMap<string, number>, done: readonly TreeRun[]): string {
  const rows = [...plan.keys()].map((name) => {
    const runs = done.filter(({ scenario }) => scenario === name)
    const failed = runs.filter(({ verdict }) => verdict !== 'passed').length
    const repeated = runs.filter(({ isRepeated }) => isRepeated).length
    const seconds = runs.map((run) => run.seconds).sort((a, b) => a - b)
    const range = seconds.length === 0 ? '' : `${seconds[0]} to ${seconds.at(-1)}`
    return `| ${name} | ${runs.length} | ${failed} | ${repeated} | ${range} |\n`
  })
  return `| scenario | runs | product failures | emulator, repeated | seconds |\n| --- | --- | --- | --- | --- |\n${rows.join('')}`
}
