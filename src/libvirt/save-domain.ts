/**
 * The save of a domain: its RAM gets second names, its QEMU writes its device state into the pool, and both
 * are on record. Until its QEMU has ended, `cancelDomainSave` undoes all of it. The caller holds the domain's
 * lock.
 */
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Base } from '../linux/beneath.ts'
import { bootId } from '../linux/boot-id.ts'
import { fileChannels, runStatus, statusAtRest } from '../qemu/migration.ts'
import { operatorsMigration, setMigration, setOurs } from '../qemu/migration-settings.ts'
import type { QmpCommands } from '../qemu/qmp-commands.ts'
import { GuestStoppedError } from '../qemu/save.ts'
import { measureStateFile, removeStateFile } from '../qemu/saved-state.ts'
import { formatTimeout } from '../values/duration.ts'
import { errorText, QemuError } from '../values/errors.ts'
import { DOMAIN_STATE } from '../values/libvirt-paths.ts'
import type { ActiveDomain, DomainHost } from './active-domains.ts'
import { DomainMonitor } from './domain-monitor.ts'
import { type DomainRecord, removeDomainRecord, writeDomainRecord } from './domain-record.ts'
import { awaitEnd, domainStateProblem, qemuVersionOf } from './domain-state.ts'
import { isSameMachine } from './same-machine.ts'
import { hasRam, linkInto, ramIn, removeFolder, savedFolder } from './saved-ram.ts'
import { type Virsh, virsh } from './virsh.ts'

/** Where things are, and who is asked: tests have others. */
export interface DomainTools {
  readonly run: Virsh
  /** Of records; undefined: this host's. */
  readonly records?: string | undefined
  /** `UUID` is there while it is started; undefined: this host's folder. */
  readonly starts?: string | undefined
  readonly base?: Base | undefined
  /** undefined: this host. */
  readonly host?: DomainHost | undefined
}

export const REAL_TOOLS: DomainTools = { run: virsh }

export interface DomainSave {
  /** As `lookAgain` has found it, under the lock that is still held. */
  readonly domain: ActiveDomain
  /** For the migration. */
  readonly timeoutMs: number
  /** For the save as a whole, while other guests are stopped; undefined: no other limit. */
  readonly patienceMs?: number
  /** 'stop' with the time when a running guest was stopped, at the earliest. */
  readonly onStep: (step: 'stop' | 'save', atMs?: number) => void
  readonly tools?: DomainTools
}

/** Of one answer. */
const ANSWER_MS = 10_000

/**
 * Returns the record of the saved guest, whose QEMU is still there, stopped. Errors (QemuError, UsageError,
 * CorruptBytesError): the guest runs on as before; GuestStoppedError: it is stopped.
 */
export async function saveDomain(save: DomainSave): Promise<DomainRecord> {
  const { domain, timeoutMs, patienceMs, onStep, tools = REAL_TOOLS } = save
  const { uuid, name } = domain.about
  const monitor = new DomainMonitor(uuid, tools.run)
  if (patienceMs !== undefined) {
    monitor.patienceMs = Math.min(ANSWER_MS, patienceMs)
    monitor.endWithin(
      patienceMs,
      `it was not saved within ${formatTimeout(patienceMs)}, while the other guests are stopped: give it more with --patience`,
    )
  }
  const state = await runStatus(monitor)
  const problem = domainStateProblem(state)
  if (problem !== undefined) throw new QemuError(problem)
  const wasRunning = state.running
  const record: DomainRecord = {
    format: 1,
    ...{ uuid, name, wasRunning },
    xml: domain.xml,
    bootId: bootId(),
    id: domain.id,
    folder: domain.folder,
    mountPoint: domain.mountPoint,
    ram: [...domain.ram],
    migration: await operatorsMigration(monitor),
    qemuVersion: await qemuVersionOf(monitor),
    ...{ state: 'saving', saved: null },
  }
  writeDomainRecord(record, tools.records)
  try {
    const saved = await saveInto(record, monitor, timeoutMs, tools, onStep)
    onStep('save')
    return saved
  } catch (error) {
    // The record that says so may be on the disk, though its write has failed.
    return await undoAfter(error, { ...record, state: 'saved' }, tools)
  }
}

/** From the second names on to the record that says `saved`. */
async function saveInto(
  record: DomainRecord,
  monitor: DomainMonitor,
  timeoutMs: number,
  { records, base }: DomainTools,
  onStep: DomainSave['onStep'],
): Promise<DomainRecord> {
  const { mountPoint, uuid, folder, ram, wasRunning, qemuVersion } = record
  const second = savedFolder(mountPoint, uuid)
  linkInto(
    second,
    folder,
    ram.map(({ name }) => name),
    base,
  )
  await setOurs(monitor, 'save')
  const stoppedAtMs = Date.now()
  if (wasRunning) onStep('stop', stoppedAtMs)
  await monitor.execute('migrate', fileChannels(join(folder, DOMAIN_STATE)))
  await awaitEnd(monitor, timeoutMs)
  linkInto(second, folder, [DOMAIN_STATE], base)
  const path = join(second, DOMAIN_STATE)
  const [measured, xml] = await Promise.all([measureStateFile(path, timeoutMs, base), monitor.liveXml()])
  // The guest is stopped, and its state is written: what libvirt changes from here on it does not have.
  if (!isSameMachine(record.xml, xml) || !isDeepStrictEqual(ramIn(folder, base), ram))
    throw new QemuError('its machine was changed while it was saved: try again')
  const saved = { path, ...measured, wasRunning, stoppedAtMs, qemuVersion }
  const next: DomainRecord = { ...record, xml, state: 'saved', saved }
  writeDomainRecord(next, records)
  return next
}

async function undoAfter(error: unknown, record: DomainRecord, tools: DomainTools): Promise<never> {
  let left: string | undefined
  try {
    left = await cancelDomainSave(record, tools)
  } catch (cause) {
    throw new GuestStoppedError(`${errorText(error)}; and it could not be continued: ${errorText(cause)}`, {
      cause,
    })
  }
  throw left === undefined ? error : new QemuError(`${errorText(error)}; ${left}`, { cause: error })
}

/**
 * Brings the guest back in the QEMU that has it, at any point of its save, and removes all that the save has
 * made. Returns what is not as it was, one line; undefined: all is. Errors (QemuError): it is stopped.
 */
export async function cancelDomainSave(
  record: DomainRecord,
  tools = REAL_TOOLS,
): Promise<string | undefined> {
  const { uuid, wasRunning, migration } = record
  const monitor = new DomainMonitor(uuid, tools.run)
  // Of a migration that was completed it lets no guest run.
  await monitor.execute('migrate_cancel')
  const { status, running } = await statusAtRest(monitor)
  // Not before: where its QEMU has ended, or ends up to here, the guest is saved, and the record must say so.
  // Not after: once the guest runs no QEMU may load its state.
  if (record.state === 'saved') writeDomainRecord({ ...record, state: 'saving', saved: null }, tools.records)
  if (wasRunning && !running) await resumeByLibvirt(uuid, monitor, tools.run)
  const refused = await setMigration(monitor, migration)
  // Its QEMU is there, and so the folder of that id is its own.
  removeStateFile(join(record.folder, DOMAIN_STATE), tools.base)
  forgetDomain(record, tools)
  const left = [
    ...(!wasRunning && status === 'postmigrate'
      ? [
          "it was paused before, and is in QEMU's state 'postmigrate' now: it stays stopped until 'virsh resume'",
        ]
      : []),
    ...refused,
  ]
  return left.length === 0 ? undefined : left.join('; ')
}

/**
 * libvirt must do it, which has to know; where it has not noticed yet that the guest is stopped it refuses.
 * Errors: QemuError.
 */
export async function resumeByLibvirt(uuid: string, qmp: QmpCommands, run: Virsh): Promise<void> {
  try {
    await run(['resume', uuid])
  } catch (error) {
    if ((await runStatus(qmp)).running) return
    await qmp.execute('cont').catch(() => {
      throw error
    })
  }
}

/** Removes record, second names and state of a guest that has no use for them. Never throws. */
export function forgetDomain(
  { mountPoint, uuid, folder, ram }: DomainRecord,
  { records, base }: DomainTools,
): void {
  // Of its own: another domain that is just being saved may have a folder of that path by now.
  if (hasRam(folder, ram, base)) removeStateFile(join(folder, DOMAIN_STATE), base)
  removeFolder(savedFolder(mountPoint, uuid), base)
  removeDomainRecord(uuid, records)
}
