/**
 * The command line of the campaigns: random tests without an end, that go on where they were stopped.
 *
 *   npm run campaign                       lists them, with the state of their ledgers
 *   npm run campaign -- kill               half an hour of it
 *   npm run campaign -- kill --seconds 60 --seed 7
 *   npm run campaign -- kill --keep        its figures, of all its rounds, to bench/results/
 *   npm run campaign -- kill --if-possible no failure where this machine cannot run it
 *   npm run campaign -- kill --ledger FILE with its ledger there, and not in the cache
 */
import { parseArgs } from 'node:util'
import { UsageError } from '../src/values/errors.ts'
import { type Campaign, type Round, totalOf } from './campaign.ts'
import { ledgerOf } from './ledger.ts'
import { CAMPAIGNS, findCampaign } from './registry.ts'
import { keepFigures } from './results.ts'

const HALF_AN_HOUR = 1800
/** Seeds are printed, and typed again: nine digits are enough. */
const SEEDS = 1_000_000_000

const print = (line: string): void => void process.stdout.write(`${line}\n`)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string' },
    ledger: { type: 'string' },
    keep: { type: 'boolean', default: false },
    'if-possible': { type: 'boolean', default: false },
  },
})

function wholeNumber(option: 'seconds' | 'seed'): number | undefined {
  const text = values[option]
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${option} ${text}: a whole number is wanted`)
  return Number(text)
}

/** `12 rounds in 600 s, 0 failed: kills 340, operations 90120`. */
function summaryOf(campaign: Campaign, rounds: readonly Round[]): string {
  if (rounds.length === 0) return 'nothing is known of this tree'
  const seconds = rounds.reduce((sum, each) => sum + each.seconds, 0)
  const failed = rounds.filter(({ failure }) => failure !== undefined).length
  const figures = { ...totalOf(rounds), ...campaign.known?.(rounds) }
  const told = Object.entries(figures).map(([name, value]) => `${name} ${value}`)
  return `${rounds.length} rounds in ${Math.round(seconds)} s, ${failed} failed: ${told.join(', ')}`
}

function list(): void {
  for (const [name, campaign] of Object.entries(CAMPAIGNS)) {
    print(`${name.padEnd(10)} ${campaign.about}`)
    print(`${''.padEnd(10)} ${summaryOf(campaign, ledgerOf(name, values.ledger).read())}`)
  }
}

async function runCampaign(name: string): Promise<void> {
  const campaign = findCampaign(name)
  const seconds = wholeNumber('seconds') ?? HALF_AN_HOUR
  const obstacle = await campaign.obstacle?.()
  if (obstacle !== undefined) {
    const line = `${name} cannot run here: ${obstacle}`
    if (!values['if-possible']) throw new UsageError(line)
    print(`skipped: ${line}`)
    return
  }
  const ledger = ledgerOf(name, values.ledger)
  const done = ledger.read()
  if (done.length > 0) print(`going on: ${done.length} rounds are done (${ledger.file})`)
  const before = done.length
  const last = done.at(-1)?.seed
  let next = wholeNumber('seed') ?? (last === undefined ? Date.now() % SEEDS : last + 1)
  print(`first seed ${next}, ${seconds} s`)
  let endMs = performance.now() + seconds * 1000
  // The present round ends, and removes what it made. A second signal ends this process at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      endMs = 0
    })
  await campaign.run({
    done,
    secondsLeft: () => (endMs - performance.now()) / 1000,
    seed: () => next++ % SEEDS,
    record: (round) => {
      done.push(round)
      ledger.append(round)
      if (round.failure === undefined) return
      print(
        `FAILED with seed ${round.seed}${round.key === undefined ? '' : `, ${round.key}`}: ${round.failure}`,
      )
    },
    say: print,
  })
  const failed = done.slice(before).filter(({ failure }) => failure !== undefined).length
  print(summaryOf(campaign, done))
  if (values.keep) print(`kept in ${keepFigures(name, campaign, done)}`)
  if (failed > 0) process.exitCode = 1
}

try {
  if (positionals.length > 1) throw new UsageError('name one campaign, or none for the list')
  const [name] = positionals
  if (name === undefined) list()
  else await runCampaign(name)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}
