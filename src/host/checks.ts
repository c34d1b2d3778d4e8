/** The list of the doctor's checks, in the order in which they are printed. */
import type { Finding } from '../values/finding.ts'
import { checkCarveOuts } from './check-carve-out.ts'
import { checkFuseAbilities, checkFuseDevice } from './check-fuse.ts'
import { checkKernel, checkLiveUpdate, checkPrivileges } from './check-kernel.ts'
import { checkHugePages, checkMemfd, checkSwap } from './check-memory.ts'
import { checkMemoryFailures } from './check-memory-failures.ts'
import { checkPassthrough } from './check-passthrough.ts'
import {
  checkDescriptors,
  checkKvm,
  checkMountHelper,
  checkQemu,
  checkServiceManager,
} from './check-tools.ts'
import type { FixableFinding } from './fix.ts'

/** What mounting a pool needs. */
export const MOUNT_CHECKS: readonly (() => Finding)[] = [
  checkPrivileges,
  checkKernel,
  checkFuseDevice,
  checkFuseAbilities,
  checkMemfd,
]

const CHECKS: readonly (() => FixableFinding)[] = [
  ...MOUNT_CHECKS,
  checkHugePages,
  checkSwap,
  checkMemoryFailures,
  checkDescriptors,
  checkQemu,
  checkKvm,
  checkServiceManager,
  checkMountHelper,
  checkLiveUpdate,
  checkPassthrough,
]

export const examine = (): FixableFinding[] => [...CHECKS.map((check) => check()), ...checkCarveOuts()]

/** The first thing that stops a pool from being mounted here, or `undefined`. */
export function mountProblem(): Finding | undefined {
  for (const check of MOUNT_CHECKS) {
    const finding = check()
    if (finding.severity === 'error') return finding
  }
  return undefined
}
