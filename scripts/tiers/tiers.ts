/**
 * The tiers of tests: the jobs of each, what it needs of a machine, and the time limits of a job and of the
 * tier.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { mountProblem } from '../../src/host/checks.ts'
import { installedQemu, QEMU_MINIMUM } from '../../src/host/qemu-package.ts'
import { atLeast } from '../../src/host/version.ts'
import { UsageError } from '../../src/values/errors.ts'
import { prefetchLinuxGuest } from '../../testbed/guests/linux-guest.ts'
import { testbedObstacle } from '../../testbed/obstacle.ts'
import { type Phase, prefetch } from '../../testbed/scenario/parts.ts'
import type { ScenarioTier } from '../../testbed/scenario/scenario.ts'
import { findScenario, scenariosOf } from '../../testbed/scenarios/registry.ts'
import { LONG_FILES } from './long-files.ts'
import type { Place } from './run-child.ts'
import { type JobResult, runFile } from './run-file.ts'
import { runScenarioJob } from './run-scenario.ts'

/** A test file, or a scenario. */
export interface Job {
  readonly path: string
  readonly run: (place: Place) => Promise<JobResult>
  /** Why this machine cannot run it, or `undefined`. Fetches and builds what it needs. */
  readonly obstacle?: (phase: Phase) => Promise<string | undefined>
  /** No other job runs beside it. */
  readonly isAlone?: boolean
}

/**
 * Its process has a damaged image open, and for as long every mount of another new pool is refused: root's
 * commands cannot know whose it is.
 */
const ALONE = 'test/mount/damaged-image.test.ts'

type FileTier = keyof typeof LONG_FILES

export interface Tier {
  readonly name: 'unit' | FileTier | `${FileTier}-long` | ScenarioTier
  readonly jobs: (project: string) => Job[]
  /** Jobs at once. Two hosts of a testbed would share what each is given of this machine. */
  readonly parallel: number
  /** Why this machine cannot run any of it, or `undefined`. Fetches and installs what it needs. */
  readonly obstacle: (phase: Phase) => Promise<string | undefined>
  /** The tier is a part of `npm test`, and should take so many minutes: printed, not asserted. */
  readonly budgetMinutes?: number
}

const files = (globs: readonly string[], timeoutMs: number) => (project: string) =>
  globSync([...globs], { cwd: project })
    .sort()
    .map(
      (path): Job => ({
        ...{ path, isAlone: path === ALONE },
        run: (place) => runFile(path, place, timeoutMs),
      }),
    )

/** Those of test/TIER that are named as long, or the others. */
const filesOf = (tier: FileTier, isLong: boolean, timeoutMs: number) => (project: string) => {
  const long = new Set(LONG_FILES[tier].map((name) => `test/${tier}/${name}.test.ts`))
  return files(
    [`test/${tier}/**/*.test.ts`],
    timeoutMs,
  )(project).filter(({ path }) => long.has(path) === isLong)
}

/** Twice, since a run that failed by the emulator is repeated; with the time before and after. */
const SCENARIO_MS = 2 * 1_200_000 + 600_000

const scenarios = (tier: ScenarioTier) => (): Job[] =>
  scenariosOf(tier).map((name) => {
    const scenario = findScenario(name)
    const timeoutMs = 2 * (scenario.timeoutMs ?? 0) + SCENARIO_MS
    return {
      path: `scenario ${name}`,
      run: (place) => runScenarioJob(name, `${name}: ${scenario.about}`, place, timeoutMs),
      obstacle: (phase) => unlessUsage(() => prefetch(scenario, phase)),
    }
  })

/**
 * A UsageError, which the operator can act on, is a reason to skip; any other error is a fault of the tests.
 */
async function unlessUsage(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (error instanceof UsageError) return error.message.split('\n')[0]
    throw error
  }
}

async function mountTierObstacle(): Promise<string | undefined> {
  const finding = mountProblem()
  return finding && `${finding.subject}: ${finding.message} (${finding.advice})`
}

/**
 * In a process of its own, which asks and shows what it does: apt takes a while, and the progress goes on
 * meanwhile.
 */
async function installQemu(): Promise<string | undefined> {
  const present = installedQemu()
  if (present !== undefined && atLeast(present, QEMU_MINIMUM)) return undefined
  const yes = process.argv.includes('--yes') ? ['--yes'] : []
  const setup = spawn(process.execPath, [SETUP, ...yes], { stdio: 'inherit' })
  const [code] = await once(setup, 'exit')
  return code === 0 ? undefined : 'QEMU is missing or too old: npm run setup installs it'
}

async function vmTierObstacle(phase: Phase): Promise<string | undefined> {
  return (
    (await mountTierObstacle()) ??
    (await phase('QEMU', installQemu)) ??
    (await unlessUsage(() => phase('kernel of the Linux guest', prefetchLinuxGuest)))
  )
}

/** The host inside has its own FUSE, whatever this machine has. */
const scenarioTier = (name: ScenarioTier, budgetMinutes?: number): Tier => ({
  name,
  jobs: scenarios(name),
  parallel: 1,
  obstacle: testbedObstacle,
  ...(budgetMinutes === undefined ? {} : { budgetMinutes }),
})

const SETUP = join(import.meta.dirname, '../setup.ts')
const PROCESSORS = availableParallelism()
/** Root's files have a mount namespace and a /run/guestmemfs each; a guest of them takes some 200 MiB. */
const MOUNTING_FILES = process.getuid?.() === 0 ? Math.min(4, PROCESSORS) : 1
const UNIT = ['src', 'scripts', 'campaigns', 'testbed', 'bench', 'test/kept', 'test/faults'].map(
  (folder) => `${folder}/**/*.test.ts`,
)

const MOUNT = { parallel: MOUNTING_FILES, obstacle: mountTierObstacle }
const VM = { parallel: MOUNTING_FILES, obstacle: vmTierObstacle }

export const TIERS: readonly Tier[] = [
  {
    name: 'unit',
    jobs: files(UNIT, 300_000),
    parallel: PROCESSORS,
    obstacle: async () => undefined,
    budgetMinutes: 1,
  },
  { ...MOUNT, name: 'mount', jobs: filesOf('mount', false, 600_000), budgetMinutes: 3 },
  { ...VM, name: 'vm', jobs: filesOf('vm', false, 900_000), budgetMinutes: 3 },
  scenarioTier('kexec', 5),
  { ...MOUNT, name: 'mount-long', jobs: filesOf('mount', true, 600_000) },
  { ...VM, name: 'vm-long', jobs: filesOf('vm', true, 900_000) },
  scenarioTier('testbed'),
  scenarioTier('long'),
]
