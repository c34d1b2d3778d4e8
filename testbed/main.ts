/** Owns the command line of the testbed: `npm run testbed -- SCENARIO …`. Progress on standard error, the summary as JSON on standard output. */
import { Command } from 'commander'
import { THIS_HOST } from '../src/host/apt.ts'
import { ensureQemu } from '../src/host/qemu-package.ts'
import { UsageError } from '../src/values/errors.ts'
import { type RunOptions, runScenario } from './scenario/run.ts'
import type { Scenario } from './scenario/scenario.ts'
import { boot } from './scenarios/boot.ts'
import { daxStore } from './scenarios/dax-store.ts'
import { devmem } from './scenarios/devmem.ts'
import { devmemUpdate } from './scenarios/devmem-update.ts'
import { gigantic } from './scenarios/gigantic.ts'
import { hidden } from './scenarios/hidden.ts'
import { kexec } from './scenarios/kexec.ts'
import { kexecRaw } from './scenarios/kexec-raw.ts'
import { kho } from './scenarios/kho.ts'
import { khoAbort } from './scenarios/kho-abort.ts'
import { khoMany } from './scenarios/kho-many.ts'
import { khoRefuse } from './scenarios/kho-refuse.ts'
import { many } from './scenarios/many.ts'
import { mount } from './scenarios/mount.ts'
import { mountTier } from './scenarios/mount-tier.ts'
import { overhead } from './scenarios/overhead.ts'
import { pages } from './scenarios/pages.ts'
import { refuse } from './scenarios/refuse.ts'
import { reserve } from './scenarios/reserve.ts'
import { systemd } from './scenarios/systemd.ts'
import { systemdKho } from './scenarios/systemd-kho.ts'
import { torn } from './scenarios/torn.ts'
import { update } from './scenarios/update.ts'

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  boot,
  mount,
  'mount-tier': mountTier,
  kexec,
  update,
  'kexec-raw': kexecRaw,
  kho,
  'kho-many': khoMany,
  'kho-abort': khoAbort,
  'kho-refuse': khoRefuse,
  'dax-store': daxStore,
  devmem,
  'devmem-update': devmemUpdate,
  hidden,
  gigantic,
  overhead,
  pages,
  reserve,
  refuse,
  systemd,
  'systemd-kho': systemdKho,
  torn,
  many,
}

function find(name: string): Scenario {
  const scenario = Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name] : undefined
  if (scenario !== undefined) return scenario
  throw new UsageError(`no scenario ${name}: there are ${Object.keys(SCENARIOS).join(', ')}`)
}

async function main(
  name: string | undefined,
  words: string[],
  options: Omit<RunOptions, 'words'>,
): Promise<void> {
  if (name === undefined) {
    for (const [each, { about }] of Object.entries(SCENARIOS))
      process.stdout.write(`${each.padEnd(14)}${about}\n`)
    return
  }
  await ensureQemu(THIS_HOST, { yes: false }, (line) => process.stderr.write(`${line}\n`))
  const { summary } = await runScenario(name, find(name), { ...options, words })
  process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`)
  process.stderr.write(`${name} ${summary.verdict}${summary.failure ? `: ${summary.failure}` : ''}\n`)
  if (summary.folder !== undefined) process.stderr.write(`consoles and logs: ${summary.folder}\n`)
  process.exitCode = summary.verdict === 'passed' ? 0 : 1
}

const program = new Command('testbed')
  .description('Boots a throw-away hypervisor host in QEMU and runs a scenario in it, across a real kexec.')
  .argument('[scenario]', 'one of testbed/scenarios/; without it, they are listed')
  .argument('[words...]', 'for the scenario, if it takes any')
  .option(
    '--kernel <spec>',
    'kernel to start with: 6.12, 7.3.4, a Debian suite, luo, or the path of a vmlinuz',
  )
  .option('--next-kernel <spec>', 'kernel to jump to')
  .option('--memory <size>', 'RAM of the host, for example 4G')
  .option('--keep', 'keep consoles, logs and the summary of a run that passed, too', false)
  .action(main)

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}
