/**
 * Runs a campaign's rounds in carve-outs of the host that this process is in, which is the testbed's
 * (in-testbed.ts): `inside.ts CAMPAIGN SECONDS SEED DONE STORE…`, where the file DONE has the rounds that are
 * done already, as JSON. Prints a line `round JSON` for each round, and what a campaign says.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Round, Stage } from './campaign.ts'
import { killInRegion, killRounds } from './kill/kill.ts'
import type { RegionPlace } from './kill/region-host.ts'
import { kindIn, runStores } from './syscalls/syscalls.ts'

/** The published program starts in half the time of the sources. */
const CLI = join(import.meta.dirname, '../dist/cli.js')

const RUNS: Readonly<Record<string, (stage: Stage, places: readonly RegionPlace[]) => Promise<void>>> = {
  kill: (stage, places) =>
    killRounds(stage, (seed) => killInRegion(places[seed % places.length] as RegionPlace)),
  syscalls: (stage, places) =>
    runStores(
      stage,
      places.map((place) => kindIn(place)),
    ),
}

const [, , name = '', seconds, firstSeed, doneFile = '', ...stores] = process.argv
const run = RUNS[name]
if (run === undefined) throw new Error(`no campaign ${name} runs here`)
const print = (line: string): void => void process.stdout.write(`${line}\n`)
const endMs = performance.now() + Number(seconds) * 1000
const done = JSON.parse(readFileSync(doneFile, 'utf8')) as Round[]
let seed = Number(firstSeed)
await run(
  {
    done,
    secondsLeft: () => (endMs - performance.now()) / 1000,
    seed: () => seed++,
    record: (round) => {
      done.push(round)
      print(`round ${JSON.stringify(round)}`)
    },
    say: print,
  },
  stores.map((store) => ({ store, region: null, cli: CLI })),
)
