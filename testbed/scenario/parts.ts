/**
 * The parts of a scenario in the cache: kernels, initramfs, root image, QEMU. Downloads and builds the
 * missing ones, step by step.
 */
import { UsageError } from '../../src/values/errors.ts'
import { findKernel, NEWEST } from '../debian/kernel.ts'
import { newestQemu, type QemuProgram } from '../debian/qemu.ts'
import { ensureRoomForFirstRun } from '../first-run.ts'
import { buildInitramfs } from '../image/initramfs.ts'
import type { BootFiles } from '../image/project.ts'
import { buildRoot, type RootChoice } from '../image/root.ts'
import type { Phase } from '../kernel/build.ts'
import { LUO, luoKernel } from '../kernel/luo.ts'
import { olderObstacle } from '../older-tree.ts'
import type { Scenario } from './scenario.ts'

export type { Phase } from '../kernel/build.ts'

/** Choices of the operator, or of the matrix, which override the scenario's. */
export interface PartChoice {
  readonly kernel?: string | undefined
  readonly nextKernel?: string | undefined
  /** QEMUs in the host; default: that of the host's own suite. */
  readonly qemus?: Pick<RootChoice, 'qemu' | 'nextQemu'>
}

export interface Parts {
  readonly first: BootFiles
  readonly next: BootFiles
  /** The path of the root image. */
  readonly root: string
  /** The QEMU that runs the host. */
  readonly qemu: QemuProgram
}

/** Errors: `UsageError` for what does not exist, or has no room; another error for a failure of apt. */
export async function prefetch(
  scenario: Scenario<unknown>,
  phase: Phase,
  choice: PartChoice = {},
): Promise<Parts> {
  const missing = scenario.older === undefined ? undefined : olderObstacle(scenario.older)
  if (missing !== undefined) throw new UsageError(missing)
  ensureRoomForFirstRun()
  const firstSpec = choice.kernel ?? scenario.kernel ?? NEWEST
  const nextSpec = choice.nextKernel ?? scenario.nextKernel ?? firstSpec
  // May take long on this machine, once, and shows its progress.
  if ([firstSpec, nextSpec].includes(LUO)) await luoKernel(phase)
  const [first, next] = await phase('kernels', async () => [
    await bootFiles(firstSpec),
    await bootFiles(nextSpec),
  ])
  const root = await phase('root image', () =>
    buildRoot({ init: scenario.init ?? 'busybox', ...morePackages(scenario), ...choice.qemus }),
  )
  const qemu = await phase('QEMU', newestQemu)
  return { first: first as BootFiles, next: next as BootFiles, root, qemu }
}

const morePackages = ({ packages }: Scenario<unknown>): Pick<RootChoice, 'packages'> =>
  packages === undefined ? {} : { packages }

async function bootFiles(spec: string): Promise<BootFiles> {
  const kernel = await findKernel(spec)
  return { kernel, initramfs: await buildInitramfs(kernel) }
}
