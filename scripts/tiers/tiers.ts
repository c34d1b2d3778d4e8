/** Owns the tiers of tests: where their files are, what they need of a machine, how long one file may take. */
import { availableParallelism } from 'node:os'
import { THIS_HOST } from '../../src/host/apt.ts'
import { mountObstacle } from '../../src/host/doctor.ts'
import { ensureQemu } from '../../src/host/qemu-package.ts'
import { UsageError } from '../../src/values/errors.ts'
import { testbedObstacle } from '../../testbed/obstacle.ts'

export interface Tier {
  readonly name: 'unit' | 'mount' | 'vm' | 'testbed' | 'long'
  readonly globs: readonly string[]
  /** Files at once: mounts and guests are noisy neighbours, and their leftovers must be told apart. */
  readonly parallel: number
  readonly timeoutMs: number
  /** Why this machine cannot run the tier, or `undefined`. May install what it needs. */
  readonly obstacle: (say: (line: string) => void) => Promise<string | undefined>
  /** Not part of all tiers: only when its name, or a word of a file's path, is said. */
  readonly onlyByName?: true
}

async function mountTierObstacle(): Promise<string | undefined> {
  const finding = mountObstacle()
  return finding && `${finding.name}: ${finding.detail} (${finding.advice})`
}

async function vmTierObstacle(say: (line: string) => void): Promise<string | undefined> {
  return (await mountTierObstacle()) ?? (await qemuObstacle(say))
}

/** The host inside brings its own FUSE, whatever this machine has. */
async function testbedTierObstacle(say: (line: string) => void): Promise<string | undefined> {
  return (await qemuObstacle(say)) ?? (await testbedObstacle())
}

async function qemuObstacle(say: (line: string) => void): Promise<string | undefined> {
  try {
    await ensureQemu(THIS_HOST, { yes: process.argv.includes('--yes') }, say)
    return undefined
  } catch (error) {
    if (error instanceof UsageError) return error.message
    throw error
  }
}

export const TIERS: readonly Tier[] = [
  {
    name: 'unit',
    globs: ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'testbed/**/*.test.ts', 'bench/**/*.test.ts'],
    parallel: Math.max(1, availableParallelism()),
    timeoutMs: 300_000,
    obstacle: async () => undefined,
  },
  {
    name: 'mount',
    globs: ['test/mount/**/*.test.ts'],
    parallel: 1,
    timeoutMs: 600_000,
    obstacle: mountTierObstacle,
  },
  { name: 'vm', globs: ['test/vm/**/*.test.ts'], parallel: 1, timeoutMs: 900_000, obstacle: vmTierObstacle },
  {
    name: 'testbed',
    globs: ['test/testbed/*.test.ts'],
    parallel: 1,
    timeoutMs: 1_600_000,
    obstacle: testbedTierObstacle,
  },
  {
    name: 'long',
    globs: ['test/testbed/long/*.test.ts'],
    parallel: 1,
    timeoutMs: 2_500_000,
    obstacle: testbedTierObstacle,
    onlyByName: true,
  },
]
