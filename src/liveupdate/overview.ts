/**
 * A mounted pool at a glance: what it tells of itself, its processes, its guests, the last update, and what
 * is to be done. Must not: ask a QEMU, whose socket takes one client at a time.
 */
import { currentVersion, installedVersionOf, runningVersion } from '../host/versions/running-version.ts'
import { processStartMs } from '../linux/process.ts'
import { writtenRecord } from '../pool/known-pools.ts'
import { type PoolStatus, readPoolStatus } from '../pool/pool-status.ts'
import type { PoolMount } from '../pool/pool-view.ts'
import { type FormerKeeper, formerKeepers } from '../pool/restart-keepers.ts'
import { isUnitActive } from '../pool/systemd-unit.ts'
import type { ListedVm } from '../qemu/vm-list.ts'
import { isAlive } from '../run/process-identity.ts'
import { runningUpdates } from '../run/running-updates.ts'
import type { Finding } from '../values/finding.ts'
import { readUpdateRecord } from './kernel/update-record.ts'
import { listGuests } from './list-guests.ts'
import { overviewFindings } from './overview-findings.ts'
import { lastReport, type UpdateReport } from './report/update-report.ts'

export interface RunningProcess {
  readonly pid: number
  /** null: it cannot be seen. */
  readonly version: string | null
  readonly startedAtMs: number | null
}

export interface Overview {
  readonly status: PoolStatus
  /** null: it has died, and its server serves on. */
  readonly keeper: RunningProcess | null
  readonly server: RunningProcess
  /** null: they are shown to root alone. */
  readonly guests: readonly Pick<ListedVm, 'name' | 'state'>[] | null
  /** The last one since this machine started; null: none, or the caller is not root. */
  readonly update: UpdateReport | null
  readonly findings: readonly Finding[]
  /** One line for each mount or record that cannot be read. */
  readonly problems: readonly string[]
}

/** Errors: UsageError, of which DeadMount. */
export async function readOverview(mount: PoolMount): Promise<Overview> {
  const status = readPoolStatus(mount)
  const server = processOf(status.server.pid)
  const keeper = hasLostKeeper(mount.pool) ? null : keeperOf(status, server)
  // Reports and records name files, in whatever directories.
  const isRoot = process.getuid?.() === 0
  const list = isRoot ? await listGuests(mount.mountPoint, false) : undefined
  const guests = list?.guests.map(({ name, state }) => ({ name, state })) ?? null
  const findings = overviewFindings({
    status,
    guests,
    hasKeeper: keeper !== null,
    formerKeeper: keeper === null ? undefined : formerKeeperOf(status),
    isUpdating: isRoot && runningUpdates().length > 0,
    hasUpdateRecord: isRoot && readUpdateRecord(mount.mountPoint) !== undefined,
  })
  const update = (isRoot && lastReport(mount.mountPoint)) || null
  return { status, keeper, server, guests, update, findings, problems: list?.problems ?? [] }
}

const processOf = (pid: number): RunningProcess => ({
  pid,
  version: runningVersion(pid) ?? null,
  startedAtMs: Math.round(processStartMs(pid) ?? 0) || null,
})

/** The title of a keeper hides its files; its server is of the same ones. */
function keeperOf({ server: { keeperPid } }: PoolStatus, server: RunningProcess): RunningProcess {
  const keeper = processOf(keeperPid)
  return { ...keeper, version: keeper.version ?? server.version }
}

/**
 * By the pool's record. Where this process sees the server that it names, it is in the record's pid
 * namespace, and sees the keeper, too, if that runs.
 */
function hasLostKeeper(pool: string): boolean {
  const record = writtenRecord(pool)
  if (record === undefined || record.server === null || !isAlive(record.server)) return false
  return !isAlive(record.keeper)
}

/** Sources, and other programs that are not installed, are no former version. */
function formerKeeperOf({ pool, mountPoint, server: { keeperPid } }: PoolStatus): FormerKeeper | undefined {
  const [own, current] = [installedVersionOf(keeperPid), currentVersion()]
  if (own === undefined || current === undefined || own === current) return undefined
  return formerKeepers([{ pool, mountPoint, keeperPid }], [], isUnitActive)[0]
}
