/**
 * A domain that runs, looked at in its QEMU before an update: whether it can be saved, whether all of its RAM
 * is in the pool, and whether it is the machine that libvirt would start again. Must not: change anything
 * that lasts.
 */
import { basename, dirname } from 'node:path'
import * as v from 'valibot'
import { askOf, readChildren } from '../qemu/machine/ask.ts'
import { streamedBytes } from '../qemu/machine/ram-blocks.ts'
import { readRam } from '../qemu/machine/read-machine.ts'
import type { RamBlock } from '../qemu/machine/reading.ts'
import { blockedReasons, migrationUnderWay, runStatus } from '../qemu/migration.ts'
import { operatorsMigration, setMigration } from '../qemu/migration-settings.ts'
import type { QmpCommands } from '../qemu/qmp-commands.ts'
import { formatSize } from '../values/size.ts'
import type { ActiveDomain } from './active-domains.ts'
import type { DescribedDisk } from './describe-domain.ts'
import { domainStateProblem } from './domain-state.ts'

export interface ExaminedDomain {
  /** Why it cannot be updated, one line each. */
  readonly problems: readonly string[]
  /** RAM that is in no pool and would be written while the guest is stopped. */
  readonly privateBytes: number
  /** Its processors do not run. Left out where it cannot be updated. */
  readonly isPaused?: boolean
}

/** `isUpdated`: the record of an update of it is there. Errors: QemuError. */
export async function examineDomain(
  domain: ActiveDomain,
  isUpdated: boolean,
  qmp: QmpCommands,
): Promise<ExaminedDomain> {
  const { about, isPersistent } = domain
  const standing = [
    ...(isUpdated ? [`its last update did not end: 'guestmemfs resume --name ${about.name}' first`] : []),
    ...(about.hasTpm && !isPersistent
      ? [
          "it is transient and has an emulated TPM, whose state libvirt deletes with the domain: 'virsh define' it",
        ]
      : []),
  ]
  if (standing.length > 0) return { problems: standing, privateBytes: 0 }
  const state = await runStatus(qmp)
  const ofState = domainStateProblem(state)
  if (ofState !== undefined) return { problems: [ofState], privateBytes: 0 }
  const underWay = await migrationUnderWay(qmp)
  if (underWay !== undefined)
    return { problems: [`a migration of it is under way (${underWay})`], privateBytes: 0 }
  const ask = askOf(qmp)
  const [ram, ids, drives, jobs] = await Promise.all([
    readRam(qmp),
    readChildren(ask, '/machine/peripheral'),
    ask(DrivesSchema, 'query-block'),
    ask(JobsSchema, 'query-jobs'),
  ])
  const migration = await operatorsMigration(qmp)
  const blocked = await blockedReasons(qmp, migration).catch(async (error: unknown) => {
    await setMigration(qmp, migration).catch(() => {}) // the next update does
    throw error
  })
  return {
    problems: [
      ...blocked.reasons.map((reason) => `cannot be saved: ${reason}`),
      ...domainRamProblems(ram, domain),
      ...deviceProblems([...ids.keys()], about.aliases),
      ...drives.flatMap((drive) => diskProblem(drive, about.disks) ?? []),
      ...jobs.map(({ id, type }) => `a job of its disks runs (${type}, ${id}): wait for its end, or end it`),
    ],
    privateBytes: streamedBytes(ram),
    isPaused: !state.running,
  }
}

const DrivesSchema = v.array(
  v.object({ qdev: v.optional(v.string(), ''), inserted: v.optional(v.object({ file: v.string() })) }),
)
type DomainDrive = v.InferOutput<typeof DrivesSchema>[number]
const JobsSchema = v.array(v.object({ id: v.string(), type: v.string() }))

/** Shared RAM is in no stream, so all of it must be files of the domain's folder. */
export function domainRamProblems(
  blocks: readonly RamBlock[],
  { folder, ram }: Pick<ActiveDomain, 'folder' | 'ram'>,
): string[] {
  const lost = blocks.flatMap(({ id, type, sizeBytes, isShared, path, isDiscarded }) => {
    if (!isShared) return []
    const what = `${formatSize(sizeBytes)} of its RAM (${path ?? type}, '${id}')`
    if (isDiscarded) return [`${what} would be discarded with the end of its QEMU (discard-data)`]
    const file =
      path !== null && dirname(path) === folder ? ram.find(({ name }) => name === basename(path)) : undefined
    if (file === undefined) return [`${what} are not in the pool and would be lost`]
    return file.sizeBytes >= sizeBytes ? [] : [`${what} have a file of ${formatSize(file.sizeBytes)}`]
  })
  const shared = blocks.flatMap(({ isShared, path }) => (isShared && path !== null ? [basename(path)] : []))
  const unknown = ram.filter(({ name }) => !shared.includes(name))
  return [...lost, ...unknown.map(({ name }) => `its QEMU does not have ${name} of ${folder} as RAM`)]
}

/** libvirt plugs processors under such ids, and its XML has them without one. */
const PROCESSOR = /^vcpu\d+$/

/** A device that was plugged behind libvirt's back is not in its XML, so the next QEMU would not have it. */
export const deviceProblems = (ids: readonly string[], aliases: ReadonlySet<string>): string[] =>
  ids
    .filter((id) => !aliases.has(id) && !PROCESSOR.test(id))
    .map((id) => `its QEMU has a device '${id}' that libvirt does not know: unplug it (device_del)`)

/** undefined: libvirt would open the image that QEMU has now, or has none that can be compared. */
export function diskProblem(
  { qdev, inserted }: DomainDrive,
  disks: readonly DescribedDisk[],
): string | undefined {
  const alias = /^\/machine\/peripheral\/([^/]+)/.exec(qdev)?.[1] ?? qdev
  const path = disks.find((disk) => disk.alias === alias)?.path
  if (path === undefined || inserted === undefined || !inserted.file.startsWith('/')) return undefined
  if (inserted.file === path) return undefined
  return `its disk '${alias}' is ${inserted.file} in QEMU and ${path} for libvirt, which would open that: an overlay made without libvirt is lost`
}
