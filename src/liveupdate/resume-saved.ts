/**
 * The resumption of saved VMs, in one mount or in all: after a kernel update, or one that failed or was
 * killed. The caller shows the progress to the operator.
 */
import { type DomainRecord, readDomainRecords } from '../libvirt/domain-record.ts'
import { interruptedByUpdate } from '../qemu/interrupted-guests.ts'
import { readVms, type Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { DeferredSignals } from './deferred-signals.ts'
import { resumeDomainGuest } from './domains/domain-guest.ts'
import type { OtherGuest } from './for-each-vm.ts'
import type { EarlyGuests } from './guest/early-result.ts'
import {
  hasUpdateRecord,
  removeEndedRecord,
  resumePool,
  thawAfterUpdate,
  updateOf,
  withParts,
} from './kernel/resume-pool.ts'
import { ResumptionLock } from './kernel/resumption-lock.ts'
import type { VmTimeline } from './report/timeline.ts'
import { isSuccess } from './report/update-report.ts'
import { chooseSaved } from './resume-all.ts'
import type { UpdateView } from './update-view.ts'
import { type VmMount, type VmMounts, vmMounts } from './vm-mounts.ts'

export interface Resumption {
  /** None: all that are saved, or stopped by an update. */
  readonly names: readonly string[]
  /** A mount point or a pool; undefined: all. */
  readonly named: string | undefined
  readonly nextQemu: string | undefined
  /** For each step of each VM. */
  readonly timeoutMs: number
  readonly early?: EarlyGuests | undefined
}

/** A mount with something to do: guests to start, or an update to end. */
interface MountToResume {
  readonly mount: VmMount
  readonly vms: readonly Vm[]
  readonly domains: readonly DomainRecord[]
}

/** Returns the exit status. Errors: UsageError. */
export async function resumeSaved(resumption: Resumption, view: UpdateView): Promise<number> {
  const { names, named } = resumption
  const { mounts, problems } = mountsNamed(named)
  for (const problem of problems) view.problem(problem)
  if (mounts.length === 0 && problems.length > 0) return 1
  // At boot that is no error: a host may have no pool, or none yet.
  if (names.length === 0 && named === undefined && mounts.length === 0) {
    const waiting = domainsToResume(resumption, mounts).problems
    for (const problem of waiting) view.problem(problem)
    if (waiting.length > 0) return 1
    view.nothing('no pool is mounted: there is nothing to resume')
    return 0
  }
  const status = await resumeIn(mounts, resumption, view)
  return status === 0 && problems.length > 0 ? 1 : status
}

/** A VM may be named where its pool belongs. Errors: UsageError. */
function mountsNamed(named: string | undefined): VmMounts {
  try {
    return vmMounts(named)
  } catch (error) {
    if (!(error instanceof UsageError) || named === undefined || !isGuest(named)) throw error
    throw new UsageError(`${named} is a VM, no pool: type 'guestmemfs resume --name ${named}'`)
  }
}

function isGuest(name: string): boolean {
  const { vms } = readVms(vmMounts(undefined).mounts.flatMap(({ recorded }) => recorded))
  return (
    vms.some(({ definition }) => definition.name === name) ||
    readDomainRecords().records.some((record) => record.name === name)
  )
}

async function resumeIn(
  all: readonly VmMount[],
  { names, named, nextQemu, timeoutMs, early }: Resumption,
  view: UpdateView,
): Promise<number> {
  // This command takes it before it looks at the guests: another one may be resuming those of another pool.
  const lock = await ResumptionLock.take(all)
  const { mounts, problems } = await mountsToResume({ names, named }, all, view)
  if (mounts.length === 0 && problems.length === 0) view.nothing('no VM is saved there')

  // Deferred, because an interrupted resume would leave a guest that is loaded and stopped.
  const signals = new DeferredSignals()
  for (const { mount } of mounts) thawAfterUpdate(mount)
  const chosen = mounts.flatMap(({ vms, domains }) => [
    ...vms.map(({ definition }) => definition.name),
    ...domains.map(({ name }) => name),
  ])
  const { onPhase, onDone, until } = view.progress(chosen)
  const updates = new Map(mounts.map(({ mount }) => [mount.mountPoint, updateOf(mount.mountPoint)]))
  lock.join(chosen.length)
  const isNamed = names.length > 0
  const batch = {
    ...{ nextQemu, isNamed, timeoutMs, early, onPhase },
    withoutLock: (wait: () => Promise<void>) => lock.withoutLock(wait),
    onDone: (result: VmTimeline) => {
      lock.leave()
      onDone(result)
    },
  }
  const work = mounts.map(({ mount: { pool, mountPoint }, vms, domains }) => {
    const others = domains.map((record) => otherGuest(record, timeoutMs))
    return resumePool(pool, { ...batch, mountPoint, vms, others })
  })
  lock.leave()
  const reports = withParts(await until(Promise.all(work)).finally(() => signals.end()))
  for (const report of reports) view.report(report)
  // This command takes the lock again, so that no other one finds the update's record without its guests.
  // Where it does not get it, they run all the same.
  await lock.enter().catch(() => {})
  // Where guests were named, or a mount was looked at only for guests with RAM in another one, its record
  // stays: the other guests still need the update's times.
  const ended = isNamed ? [] : mounts.filter(({ mount }) => !mount.isBeside)
  for (const { mount } of ended) removeEndedRecord(mount.mountPoint, updates.get(mount.mountPoint))
  lock.leave()
  return signals.status ?? (reports.every(isSuccess) && problems.length === 0 ? 0 : 1)
}

const otherGuest = (record: DomainRecord, timeoutMs: number): OtherGuest => ({
  name: record.name,
  stoppedAtMs: record.saved !== null && record.wasRunning ? record.saved.stoppedAtMs : undefined,
  run: (context) => resumeDomainGuest(record, { ...context, timeoutMs }),
})

/** Throws UsageError where there is no mount, or a name that no VM has. */
async function mountsToResume(
  resumption: Pick<Resumption, 'names' | 'named'>,
  mounts: readonly VmMount[],
  view: UpdateView,
): Promise<{ mounts: readonly MountToResume[]; problems: readonly string[] }> {
  if (mounts.length === 0)
    throw new UsageError("no pool is mounted: mount one with 'guestmemfs mount guestmemfs DIR'")
  const { names } = resumption
  const lists = mounts.map((mount) => ({ mount, ...readVms(mount.recorded) }))
  const domains = domainsToResume(resumption, mounts)
  const problems = [...lists.flatMap((list) => list.problems), ...domains.problems]
  // First: a VM that was named may be one of them.
  for (const problem of problems) view.problem(problem)
  const vms = lists.flatMap((list) => list.vms)
  const own = names.filter((name) => !domains.known.has(name))
  const isOfDomains = names.length > 0 && own.length === 0
  const chosen = new Set(isOfDomains ? [] : chooseSaved(vms, own, await interruptedByUpdate(vms)))
  return {
    mounts: lists
      .map(({ mount, vms }) => ({
        mount,
        vms: vms.filter((vm) => chosen.has(vm)),
        domains: domains.records.filter(({ mountPoint }) => mountPoint === mount.mountPoint),
      }))
      .filter(
        ({ mount, vms, domains: theirs }) =>
          vms.length + theirs.length > 0 || (!mount.isBeside && hasUpdateRecord(mount.mountPoint)),
      ),
    problems,
  }
}

interface DomainsToResume {
  readonly records: readonly DomainRecord[]
  /** Names of all that are on record, also where their pool is not mounted. */
  readonly known: ReadonlySet<string>
  /**
   * One line for each that cannot be read, and where no mount was named for each whose pool is not mounted.
   */
  readonly problems: readonly string[]
}

/** Domains of libvirt that an update has saved, or left stopped. */
function domainsToResume(
  { names, named }: Pick<Resumption, 'names' | 'named'>,
  mounts: readonly VmMount[],
): DomainsToResume {
  const { records, problems } = readDomainRecords()
  const wanted = records.filter(({ name }) => names.length === 0 || names.includes(name))
  const isMounted = ({ mountPoint }: DomainRecord): boolean =>
    mounts.some((mount) => mount.mountPoint === mountPoint && !mount.isBeside)
  const away = named === undefined ? wanted.filter((record) => !isMounted(record)) : []
  return {
    records: wanted.filter(isMounted),
    known: new Set(records.map(({ name }) => name)),
    problems: [
      ...problems,
      ...away.map(
        ({ name, mountPoint }) => `VM ${name} of libvirt: its pool is not mounted on ${mountPoint}`,
      ),
    ],
  }
}
