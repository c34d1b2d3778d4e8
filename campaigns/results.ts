/** The file of a campaign's figures, of all rounds in its ledger: bench/results/campaign-NAME.json. */
import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { machineFacts } from '../bench/machine-facts.ts'
import { type Campaign, type Round, totalOf } from './campaign.ts'

const PROJECT = join(import.meta.dirname, '..')

/** Returns the path, relative to the project. */
export function keepFigures(name: string, campaign: Campaign, rounds: readonly Round[]): string {
  const path = join(PROJECT, 'bench/results', `campaign-${name}.json`)
  const seconds = Math.round(rounds.reduce((sum, each) => sum + each.seconds, 0))
  const document = {
    name: `campaign ${name}`,
    title: campaign.about,
    repeat: `npm run campaign -- ${name} --seconds ${Math.max(60, seconds)} --keep`,
    rounds: rounds.length,
    seconds,
    seeds: seedsOf(rounds),
    failures: rounds.flatMap(({ seed, key, failure }) =>
      failure === undefined ? [] : [{ seed, ...(key === undefined ? {} : { key }), failure }],
    ),
    figures: { ...totalOf(rounds), ...campaign.known?.(rounds) },
    measuredAt: new Date().toISOString(),
    machine: machineFacts(),
  }
  writeFileSync(path, `${JSON.stringify(document, undefined, 2)}\n`)
  return relative(PROJECT, path)
}

function seedsOf(rounds: readonly Round[]): [number, number] | [] {
  const [first, last] = [rounds[0], rounds.at(-1)]
  return first === undefined || last === undefined ? [] : [first.seed, last.seed]
}
