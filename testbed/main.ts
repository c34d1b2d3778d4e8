/**
 * The command line of the testbed: `npm run testbed -- SCENARIO …`. Progress on standard error, the summary
 * as JSON on standard output.
 */
import { writeFileSync } from 'node:fs'
import { Command } from 'commander'
import { UsageError } from '../src/values/errors.ts'
import { runCampaign } from './campaign.ts'
import { runMatrix } from './matrix/main.ts'
import { ledgerLine, readLedger } from './scenario/ledger.ts'
import { type RunOptions, StoppedError } from './scenario/run.ts'
import { runTrusted } from './scenario/trusted-run.ts'
import { findScenario, SCENARIOS } from './scenarios/registry.ts'

interface Options extends Omit<RunOptions, 'words'> {
  readonly summary?: string
}

const say = (line: string): void => void process.stderr.write(`${line}\n`)

async function main(name: string | undefined, words: string[], options: Options): Promise<void> {
  if (name === undefined) {
    for (const [each, { about, tier = '' }] of Object.entries(SCENARIOS))
      process.stdout.write(`${each.padEnd(14)} ${tier.padEnd(8)} ${about}\n`)
    return
  }
  if (name === 'campaign' || name === 'matrix') {
    process.exitCode = await (name === 'campaign' ? runCampaign : runMatrix)(words, say)
    return
  }
  const { summary, emulator } = await runTrusted(name, findScenario(name), { ...options, words }, say)
  const text = `${JSON.stringify({ ...summary, repeated: emulator }, null, 2)}\n`
  if (options.summary === undefined) process.stdout.write(text)
  else writeFileSync(options.summary, text)
  say(`${name} ${summary.verdict}${summary.failure ? `: ${summary.failure}` : ''}`)
  if (emulator !== undefined) say(`repeated once: ${emulator.emulator}; ${ledgerLine(readLedger())}`)
  if (summary.folder !== undefined) say(`consoles and logs: ${summary.folder}`)
  process.exitCode = summary.verdict === 'passed' ? 0 : 1
}

const program = new Command('testbed')
  .description('Boots a throw-away hypervisor host in QEMU and runs a scenario in it, across a real kexec.')
  .argument('[scenario]', 'one of testbed/scenarios/, or campaign, or matrix; without it, they are listed')
  .argument(
    '[words...]',
    'for the scenario, if it takes any; NAME=TIMES for a campaign; words of rows for the matrix',
  )
  .option(
    '--kernel <spec>',
    'kernel to start with: 6.12, 7.3.4, a Debian suite, luo, or the path of a vmlinuz',
  )
  .option('--next-kernel <spec>', 'kernel to jump to')
  .option('--memory <size>', 'RAM of the host, for example 4G')
  .option('--summary <file>', 'write the JSON summary there, and not to standard output')
  .option('--keep', 'keep consoles, logs and the summary of a run that passed, too', false)
  .action(main)

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n`)
  // Processes that a stopped run has started end with this one.
  if (error instanceof StoppedError) process.exit(2)
  process.exitCode = 2
}
