/**
 * A pool's handover, requested through its mount: one step after the other, each begun by setting an xattr
 * (`trusted.guestmemfs.handover`) and waited for. The file system decides what a step does.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { setxattr } from '../linux/xattr.ts'
import { EBUSY, EOPNOTSUPP, EPERM, type Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { HANDOVER_STEPS, type HandoverStep } from '../values/handover-step.ts'
import { HANDOVER_XATTR } from '../values/xattr-names.ts'
import { HANDOVER_VIEW, type PoolMount, readVirtual, setFrozen } from './pool-view.ts'

const StatusSchema = v.object({
  step: v.picklist(['none', ...HANDOVER_STEPS]),
  state: v.picklist(['idle', 'busy', 'done', 'failed', 'undoing']),
  memories: v.number(),
  preserved: v.number(),
  holeBytes: v.number(),
  failure: v.nullable(v.object({ errno: v.string(), path: v.optional(v.string()) })),
})
export type HandoverView = v.InferOutput<typeof StatusSchema>

/** Short, because the wait is part of the guests' blackout. */
const LOOK_EVERY_MS = 2
/** Where no further object is preserved for so long, the step counts as failed. One terabyte takes less. */
const STANDSTILL_MS = 600_000

/** undefined: its memory outlives a kernel by itself. Errors: UsageError. */
export function handoverStatus({ mountPoint }: PoolMount): HandoverView | undefined {
  const value = readVirtual(mountPoint, HANDOVER_VIEW)
  return value === undefined ? undefined : v.parse(StatusSchema, value)
}

/**
 * Resolves when the step is done. Throws UsageError with why it is not; all that was preserved before stays
 * preserved.
 */
export async function requestHandover(mount: PoolMount, step: HandoverStep): Promise<HandoverView> {
  await untilState(mount, (state) => state !== 'undoing')
  const refused = setxattr(mount.mountPoint, HANDOVER_XATTR, Buffer.from(step))
  if (refused !== undefined)
    throw new UsageError(`handing over pool '${mount.pool}' failed: ${whyRefused(refused)}`)
  const status = await untilState(mount, (state) => state !== 'busy')
  if (status.state === 'done' && status.step === step) return status
  throw new UsageError(`handing over pool '${mount.pool}' failed: ${whyFailed(status)}`)
}

/**
 * Freezes the pool and preserves all of it. Errors: UsageError, with nothing preserved, and the pool frozen
 * only where it was before.
 */
export async function freezeAndPreserve(mount: PoolMount): Promise<Pick<HandoverView, 'preserved'>> {
  if (handoverStatus(mount) === undefined)
    throw new UsageError(
      `pool '${mount.pool}' needs no handing over: its memory outlives a kernel by itself, 'freeze' is enough`,
    )
  const wasFrozen = !setFrozen(mount, true)
  try {
    for (const step of HANDOVER_STEPS) if (step !== 'ram') await requestHandover(mount, step)
  } catch (error) {
    requestUnpreserve(mount)
    if (!wasFrozen) setFrozen(mount, false)
    throw error
  }
  return handoverStatus(mount) ?? { preserved: 0 }
}

/** Begins to unpreserve everything, and does not wait for the end. Errors: those of setxattr(2). */
export function requestUnpreserve({ mountPoint }: PoolMount): Errno | undefined {
  return setxattr(mountPoint, HANDOVER_XATTR, Buffer.from('none'))
}

async function untilState(
  mount: PoolMount,
  isOver: (state: HandoverView['state']) => boolean,
): Promise<HandoverView> {
  let preserved = -1
  let deadline = 0
  for (;;) {
    const status = handoverStatus(mount)
    if (status === undefined)
      throw new UsageError(
        `pool '${mount.pool}' cannot be handed over: its memory outlives a kernel by itself`,
      )
    if (isOver(status.state)) return status
    if (status.preserved !== preserved) deadline = performance.now() + STANDSTILL_MS
    preserved = status.preserved
    if (performance.now() > deadline)
      throw new UsageError(`handing over pool '${mount.pool}' makes no progress: see its keeper's log`)
    await sleep(LOOK_EVERY_MS)
  }
}

function whyRefused(errno: Errno): string {
  switch (errno) {
    case EPERM:
      return 'it needs root'
    case EBUSY:
      return 'it is under way already, the keeper has not yet retrieved all memory from the former kernel, or the pool is not frozen'
    case EOPNOTSUPP:
      return 'its memory outlives a kernel by itself'
    default:
      return errno.name
  }
}

/** By the kernel's errno, where there is one (`preserve` in linux/luo.ts). */
function whyFailed({ state, failure }: HandoverView): string {
  if (failure === null) return state === 'idle' ? 'it was undone' : `it is ${state}`
  const { errno, path } = failure
  const what = path === undefined ? '' : `${path}: `
  switch (errno) {
    case 'EEXIST':
      return `${what}another live update session has its name`
    case 'EBUSY':
      return `${what}/dev/liveupdate is in use, or the file is part of another live update`
    case 'ENOMEM':
      return `${what}there is not enough memory to fill its holes or to describe it`
    case 'ENOENT':
      return `${what}there is no /dev/liveupdate, or it does not take such a file`
    case 'ETIMEDOUT':
      return `${what}the kernel does not answer: the update ends here, and this pool can be handed over again when it does (see 'journalctl -k')`
    default:
      return `${what}${errno}`
  }
}
