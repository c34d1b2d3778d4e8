/**
 * The campaigns that need real carve-outs: the testbed boots a host that has two, one for each store, and the
 * rounds run in it (inside.ts). Its processors may be emulated ones: minutes pass before a round begins.
 */
import { testbedObstacle } from '../testbed/obstacle.ts'
import type { Scenario } from '../testbed/scenario/scenario.ts'
import { runTrusted } from '../testbed/scenario/trusted-run.ts'
import type { Campaign, Round, Stage } from './campaign.ts'

/**
 * For `devmem` and for `dax`, 2 GiB each, above the 2 GiB of a q35 machine that lie below 4 GiB; the rest is
 * the host's own.
 */
const CARVE_OUTS = 'memmap=2G$4G memmap=2G%6G-1+0xefffffff modprobe.blacklist=kmem'
const MEMORY = '8G'
const STORES = ['dax', 'devmem'] as const
const HOME = '/opt/testbed'
const PROGRAM = '/opt/testbed/guestmemfs/campaigns/inside.ts'
/** To boot, to end the last round, and to check its pool. */
const AROUND_SECONDS = 420
/** A round that is shorter shows nothing. */
const LEAST_SECONDS = 240
const MOST_SECONDS = 1800

interface Order {
  readonly name: 'kill' | 'syscalls'
  readonly seconds: number
  readonly seed: number
  readonly done: readonly Round[]
  /** Called with each round as soon as its line is there. */
  readonly record: (round: Round) => void
  readonly say: (line: string) => void
}

/** Ends when the rounds have ended; fails where they do not end in time, or end with an error. */
function scenarioOf({ name, seconds, seed, done, record, say }: Order): Scenario {
  const endMs = (seconds + AROUND_SECONDS) * 1000
  return {
    about: `the campaign ${name} in a carve-out`,
    memory: MEMORY,
    append: CARVE_OUTS,
    packages: ['strace'],
    timeoutMs: endMs + AROUND_SECONDS * 1000,
    files: () => ({ 'done.json': Buffer.from(JSON.stringify(done)) }),
    async run({ host, phase }) {
      const words = [name, seconds, seed, `${HOME}/files/done.json`, ...STORES].join(' ')
      const { log } = await host.start(name, `exec node ${PROGRAM} ${words} 2>&1`)
      let ended: number | string = 'nothing'
      try {
        ended = await phase(`${seconds} s of it`, () => log.waitForEnd(endMs))
      } finally {
        for (const line of log.text.split('\n')) {
          const [, json] = /^round (\{.*\})$/.exec(line) ?? []
          if (json === undefined) say(line)
          else record(JSON.parse(json) as Round)
        }
      }
      if (ended !== 0) throw new Error(`it ended with ${ended}: ${log.text.slice(-2000)}`)
    },
  }
}

async function run(name: Order['name'], stage: Stage): Promise<void> {
  let seed = stage.seed()
  do {
    const seconds = Math.round(
      Math.min(MOST_SECONDS, Math.max(LEAST_SECONDS, stage.secondsLeft() - AROUND_SECONDS)),
    )
    const startMs = performance.now()
    let failed = false
    const record = (round: Round): void => {
      failed ||= round.failure !== undefined
      seed = round.seed + 1
      stage.record(round)
    }
    const scenario = scenarioOf({ name, seconds, seed, done: [...stage.done], record, say: stage.say })
    const { summary } = await runTrusted(`campaign-${name}`, scenario, {}, stage.say)
    if (summary.verdict !== 'passed')
      stage.record({
        seed,
        seconds: Math.round((performance.now() - startMs) / 1000),
        figures: {},
        failure: `${summary.failure} (${summary.folder})`,
      })
    if (failed || summary.verdict !== 'passed') return
  } while (stage.secondsLeft() > AROUND_SECONDS + LEAST_SECONDS)
}

const obstacle = (): Promise<string | undefined> => testbedObstacle(async (_name, work) => await work())

export const killCarveOut: Campaign = {
  about: 'as kill, in carve-outs of the testbed: dax and devmem in turn, both processes killed at once',
  obstacle,
  run: (stage) => run('kill', stage),
}

export const syscallsCarveOut: Campaign = {
  about: 'as syscalls, in carve-outs of the testbed: dax and devmem, the worker of the server besides',
  obstacle,
  run: (stage) => run('syscalls', stage),
}
