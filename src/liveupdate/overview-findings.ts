/** What is not as it should be with a mounted pool, and what to do about it. Pure. */
import { storeUseIn, whyUnsafe } from '../pool/check-stored.ts'
import { judgeBadMemory } from '../pool/pool-bad-memory.ts'
import type { PoolStatus } from '../pool/pool-status.ts'
import type { FormerKeeper } from '../pool/restart-keepers.ts'
import type { ListedVm } from '../qemu/vm-list.ts'
import { type Finding, fail, warn } from '../values/finding.ts'
import { formatSize } from '../values/size.ts'

export interface OverviewFacts {
  readonly status: PoolStatus
  /** null: this process may not see them. */
  readonly guests: readonly Pick<ListedVm, 'name' | 'state'>[] | null
  /** false: its keeper has died, and its server serves on. */
  readonly hasKeeper: boolean
  /** Another version than the installed one keeps the pool. */
  readonly formerKeeper: FormerKeeper | undefined
  /** A live update runs on this host now. */
  readonly isUpdating: boolean
  /** The pool has the record of an update of the kernel that has not ended. */
  readonly hasUpdateRecord: boolean
}

/** By what they are about: `health`, `processes`, `guests`. */
export const overviewFindings = (facts: OverviewFacts): Finding[] => [
  ...frozen(facts),
  ...ofFiles(facts.status),
  ...ofMemory(facts.status),
  ...handover(facts.status),
  ...processes(facts),
  ...ofGuests(facts),
]

const HEALTH = 'health'

function frozen({ status, isUpdating, hasUpdateRecord }: OverviewFacts): Finding[] {
  if (!status.identity.frozen) return []
  const advice = isUpdating
    ? 'wait for the live update that is under way'
    : hasUpdateRecord
      ? "'guestmemfs live-update --abort' undoes the update that froze it"
      : `'guestmemfs thaw ${status.pool}' ends that`
  return [warn(HEALTH, 'frozen: every modification is refused', advice)]
}

function ofFiles({ pool, health }: PoolStatus): Finding[] {
  const { lostFiles, awaitedFiles, refusedByFormat = 0 } = health
  const found: Finding[] = []
  if (lostFiles > 0)
    found.push(
      fail(HEALTH, `${count(lostFiles, 'file')} lost`, 'delete or empty what is lost: reading it is EIO'),
    )
  if (awaitedFiles > 0)
    found.push(
      warn(
        HEALTH,
        `${count(awaitedFiles, 'file')} still to be retrieved from the former kernel`,
        'wait for the keeper',
      ),
    )
  if (refusedByFormat > 0)
    found.push(
      warn(
        HEALTH,
        `${count(refusedByFormat, 'request')} refused, which an image of an older format cannot hold`,
        `'guestmemfs upgrade ${pool}'`,
      ),
    )
  const use = storeUseIn(health)
  const unsafe = use && whyUnsafe(use)
  if (use !== undefined && unsafe !== undefined)
    found.push(warn(HEALTH, `${use.stored} of ${use.most} files in the service manager's store`, unsafe))
  return found
}

function ofMemory({ geometry, health, orphans, bad }: PoolStatus): Finding[] {
  const found: Finding[] = []
  const badBlocks = health.badBlocks + (health.badBlocksInFiles ?? 0)
  if (badBlocks > 0) found.push(judgeBadMemory(HEALTH, badBlocks * geometry.blockBytes, bad))
  const holders = holdersOf(orphans ?? [])
  if (holders.length > 0)
    found.push(
      warn(
        HEALTH,
        `${formatSize(health.orphanBlocks * geometry.blockBytes)} of deleted files, held by ${holders.join(' and ')}`,
        'end what holds the memory of deleted files, to have it free',
      ),
    )
  return found
}

/** Processes that keep the memory of deleted files, each once. */
export const holdersOf = (orphans: NonNullable<PoolStatus['orphans']>): string[] => [
  ...new Set(
    orphans.flatMap(({ heldBy }) => {
      if (heldBy === undefined) return []
      const named = `${heldBy.program} (process ${heldBy.pid})`
      return heldBy.isUnreadable ? `${named}, which does not show what it maps` : named
    }),
  ),
]

function handover({ pool, handover }: PoolStatus): Finding[] {
  if (handover?.failure == null) return []
  const { errno, path } = handover.failure
  const about = path === undefined ? errno : `${errno}, ${path}`
  const what = `preserving it for the next kernel failed (${about})`
  return [fail(HEALTH, what, `'guestmemfs thaw ${pool}' unpreserves it`)]
}

function processes({ status: { pool, mountPoint }, hasKeeper, formerKeeper }: OverviewFacts): Finding[] {
  if (!hasKeeper)
    return [
      fail(
        'processes',
        'its keeper has died, and its memory is lost with its server',
        `'guestmemfs mount ${pool} ${mountPoint}' has another keeper take it over`,
      ),
    ]
  if (formerKeeper === undefined) return []
  const { pid, advice } = formerKeeper
  return [
    warn(
      'processes',
      `process ${pid} of another version keeps it`,
      `'${advice}' brings the installed version`,
    ),
  ]
}

const ADVICE = {
  stopped: ['stopped by an update', "'guestmemfs resume' continues what an update has stopped"],
  saved: ['saved', "'guestmemfs resume' starts what is saved"],
  dead: ['dead', "'guestmemfs run --replace' starts anew what is dead: its QEMU was killed"],
} as const

function ofGuests({ guests, isUpdating }: OverviewFacts): Finding[] {
  // An update stops and saves guests, and has them go on by itself.
  if (guests === null || isUpdating) return []
  return (['stopped', 'saved', 'dead'] as const).flatMap((state) => {
    const names = guests.filter((guest) => guest.state === state).map(({ name }) => name)
    const [is, advice] = ADVICE[state]
    return names.length === 0 ? [] : [fail('guests', `${names.join(', ')}: ${is}`, advice)]
  })
}

/** `2 files are`, `1 file is`. */
const count = (number: number, one: string): string =>
  number === 1 ? `1 ${one} is` : `${number} ${one}s are`
