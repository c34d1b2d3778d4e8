/**
 * The resume of saved VMs as the commands `resume` and `mount --resume` do it: in one mount or in all, with
 * progress and reports.
 */

import { DeferredSignals } from '../liveupdate/deferred-signals.ts'
import {
  forgetUpdate,
  hasUpdateRecord,
  resumePool,
  thawAfterUpdate,
} from '../liveupdate/kernel/resume-pool.ts'
import { ResumptionLock } from '../liveupdate/kernel/resumption-lock.ts'
import type { VmTimeline } from '../liveupdate/report/timeline.ts'
import { isSuccess } from '../liveupdate/report/update-report.ts'
import { chooseSaved } from '../liveupdate/resume-all.ts'
import { type VmMount, vmMounts } from '../liveupdate/vm-mounts.ts'
import { findBinary } from '../qemu/binary.ts'
import { interruptedByUpdate } from '../qemu/interrupted-guests.ts'
import { readVms, type Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { timeoutOption } from './options.ts'
import { complain, print } from './print.ts'
import { showReport } from './print-report.ts'
import { showProgress } from './progress.ts'

/** As typed. */
export interface ResumeOptions {
  readonly mount?: string
  readonly qemu?: string
  readonly timeoutMs: string
  readonly json?: true
}

/** A mount with something to do: guests to start, or an update to end. */
interface MountToResume {
  readonly mount: VmMount
  readonly vms: readonly Vm[]
}

/**
 * `names`: none means all that are saved, or stopped by an update. Returns the exit status. Errors:
 * UsageError.
 */
export async function resumeSaved(names: readonly string[], options: ResumeOptions): Promise<number> {
  const timeoutMs = timeoutOption(options.timeoutMs)
  const nextQemu = options.qemu && findBinary(options.qemu, process.cwd(), process.env.PATH ?? '')
  const { mounts: all, problems: unasked } = vmMounts(options.mount)
  for (const problem of unasked) complain(problem)
  if (all.length === 0 && unasked.length > 0) return 1
  // At boot that is no error: a host may have no pool, or none yet.
  if (names.length === 0 && options.mount === undefined && all.length === 0) {
    if (!options.json) print('no pool is mounted: there is nothing to resume')
    return 0
  }
  // Held before the guests are looked at: another resumption, of another pool's guests, may be under way.
  const lock = await ResumptionLock.take(all)
  const { mounts, problems } = await mountsToResume(names, all)
  if (mounts.length === 0 && problems.length === 0 && !options.json) print('no VM is saved there')

  // Deferred, because an interrupted resume would leave a guest that is loaded and stopped.
  const signals = new DeferredSignals()
  for (const { mount } of mounts) thawAfterUpdate(mount)
  const chosen = mounts.flatMap(({ vms }) => vms.map(({ definition }) => definition.name))
  const { onPhase, onDone, until } = showProgress(chosen, options.json === true)
  lock.join(chosen.length)
  const isNamed = names.length > 0
  const batch = {
    ...{ nextQemu, isNamed, timeoutMs, onPhase },
    aside: (wait: () => Promise<void>) => lock.aside(wait),
    onDone: (result: VmTimeline) => {
      lock.leave()
      onDone(result)
    },
  }
  const work = mounts.map(({ mount: { pool, mountPoint }, vms }) =>
    resumePool(pool, { ...batch, mountPoint, vms }),
  )
  lock.leave()
  const reports = await until(Promise.all(work)).finally(() => signals.end())
  // So that no other command finds the update's record without its guests. They run, whoever has it.
  await lock.enter().catch(() => {})
  for (const report of reports) showReport(report, options.json === true)
  // Kept where guests were named, or only those with RAM in another mount: the others still need the update's
  // times.
  const ended = isNamed ? [] : mounts.filter(({ mount }) => !mount.isBeside)
  for (const { mount } of ended) forgetUpdate(mount.mountPoint)
  lock.leave()
  if (signals.status !== undefined) return signals.status
  return reports.every(isSuccess) && problems.length + unasked.length === 0 ? 0 : 1
}

/** Throws UsageError where there is no mount, or a name that no VM has. */
async function mountsToResume(
  names: readonly string[],
  mounts: readonly VmMount[],
): Promise<{ mounts: readonly MountToResume[]; problems: readonly string[] }> {
  if (mounts.length === 0)
    throw new UsageError("no pool is mounted: mount one with 'guestmemfs mount guestmemfs DIR'")
  const lists = mounts.map((mount) => ({ mount, ...readVms(mount.recorded) }))
  const problems = lists.flatMap((list) => list.problems)
  // First: a VM that was named may be one of them.
  for (const problem of problems) complain(problem)
  const vms = lists.flatMap((list) => list.vms)
  const chosen = new Set(chooseSaved(vms, names, await interruptedByUpdate(vms)))
  return {
    mounts: lists
      .map(({ mount, vms }) => ({ mount, vms: vms.filter((vm) => chosen.has(vm)) }))
      .filter(({ mount, vms }) => vms.length > 0 || (!mount.isBeside && hasUpdateRecord(mount.mountPoint))),
    problems,
  }
}
