/**
 * The start of a saved domain: libvirt starts its next QEMU, which waits and gets the RAM by the hook; the
 * guest is loaded and continued. Whatever fails before the load, the guest stays saved. The caller holds the
 * domain's lock.
 */
import { rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bootId } from '../linux/boot-id.ts'
import { readRam } from '../qemu/machine/read-machine.ts'
import type { RamBlock } from '../qemu/machine/reading.ts'
import { fileChannels, runStatus } from '../qemu/migration.ts'
import { setMigration, setOurs } from '../qemu/migration-settings.ts'
import { compareVersions, type QemuVersion } from '../qemu/qemu-version.ts'
import { checkStateFile, type SavedState } from '../qemu/saved-state.ts'
import { replaceFile } from '../run/atomic-file.ts'
import { ensureFolder } from '../run/paths.ts'
import { errorText, QemuError, UsageError } from '../values/errors.ts'
import { DOMAIN_STATE, LIBVIRT_PATHS } from '../values/libvirt-paths.ts'
import { DomainMonitor } from './domain-monitor.ts'
import { type DomainRecord, writeDomainRecord } from './domain-record.ts'
import { activeId, awaitEnd, qemuVersionOf } from './domain-state.ts'
import { type DomainTools, forgetDomain, REAL_TOOLS, resumeByLibvirt } from './save-domain.ts'
import { hasRam, inodeAt, removeFolder, savedFolder } from './saved-ram.ts'
import type { Virsh } from './virsh.ts'
import { waitingXml } from './waiting-xml.ts'

export interface DomainLoad {
  /** `saved`. Its old QEMU has ended. */
  readonly record: DomainRecord
  /** For each step. */
  readonly timeoutMs: number
  readonly onStep: (step: 'start' | 'load' | 'continue') => void
  readonly tools?: DomainTools
}

export interface LoadedDomain {
  readonly qemuVersion: string
  /** What is not as it was, one line each. */
  readonly unset: readonly string[]
}

/** The guest is in its next QEMU, and stopped there. */
export class DomainStrandedError extends QemuError {}

/** The first with `exit-on-error` (qapi/migration.json). */
const EXIT_ON_ERROR: QemuVersion = '9.1.0'

/**
 * Errors (QemuError, CorruptBytesError, UsageError): the guest is saved as before; DomainStrandedError: it is
 * in its next QEMU, and no QEMU loads its state again.
 */
export async function loadDomain({
  record,
  timeoutMs,
  onStep,
  tools = REAL_TOOLS,
}: DomainLoad): Promise<LoadedDomain> {
  const { uuid } = record
  checkRam(record, tools)
  await checkStateFile(record.saved as SavedState, timeoutMs, tools.base)
  await createWaiting(record, timeoutMs, tools)
  let loaded: DomainRecord | undefined
  const monitor = new DomainMonitor(uuid, tools.run)
  try {
    onStep('start')
    loaded = await load(record, monitor, timeoutMs, tools)
    writeDomainRecord(loaded, tools.records)
  } catch (error) {
    if (loaded !== undefined) writeAgain(record, error, tools)
    // It has no guest in it, or one that never ran, and whose RAM and state are as they were.
    await tools.run(['destroy', uuid]).catch(() => {})
    throw error
  }
  onStep('load')
  return await continueDomain(loaded, tools, () => onStep('continue'))
}

/**
 * Puts a guest on record as saved again, before the QEMU that has loaded it is ended: the record that could
 * not be written may be on the disk all the same, and says that this QEMU has the guest. Errors
 * (DomainStrandedError): nor can this one be written. The QEMU stays, stopped, and whichever of the two the
 * disk has, `resume` continues the guest in it.
 */
function writeAgain(saved: DomainRecord, error: unknown, { records }: DomainTools): void {
  try {
    writeDomainRecord(saved, records)
  } catch {
    throw new DomainStrandedError(errorText(error), { cause: error })
  }
}

/**
 * Lets a guest run that its next QEMU has loaded, and removes all that its update has made. Errors:
 * DomainStrandedError.
 */
export async function continueDomain(
  record: DomainRecord,
  tools: DomainTools,
  onContinued: () => void = () => {},
): Promise<LoadedDomain> {
  const { uuid, wasRunning, migration } = record
  const monitor = new DomainMonitor(uuid, tools.run)
  try {
    if (wasRunning) await resumeByLibvirt(uuid, monitor, tools.run)
  } catch (cause) {
    throw new DomainStrandedError(errorText(cause), { cause })
  }
  onContinued()
  // The guest runs: what fails from here on does not change that.
  const unset = await setMigration(monitor, migration).catch((error: unknown) => [errorText(error)])
  const qemuVersion = await qemuVersionOf(monitor).catch(() => record.qemuVersion)
  forgetDomain(record, tools)
  return { qemuVersion, unset }
}

/** Errors (UsageError): RAM of the guest is not there, or another. */
function checkRam({ mountPoint, uuid, ram }: DomainRecord, { base }: DomainTools): void {
  const folder = savedFolder(mountPoint, uuid)
  for (const { name, inode } of ram)
    if (inodeAt(join(folder, name), base) !== inode)
      throw new UsageError(`its saved RAM ${join(folder, name)} is not there: is its pool mounted?`)
}

/** While libvirt starts it by itself, as at boot, which the hook refuses. */
const BUSY = /is already (active|being started)|cannot acquire state change lock/
const BUSY_PAUSE_MS = 500

/** Errors (QemuError): libvirt's words, the hook's among them. */
async function createWaiting(
  { uuid, xml }: DomainRecord,
  timeoutMs: number,
  tools: DomainTools,
): Promise<void> {
  const starts = ensureFolder(tools.starts ?? LIBVIRT_PATHS.starts)
  const [flag, file] = [join(starts, uuid), join(starts, `${uuid}.xml`)]
  const deadline = performance.now() + timeoutMs
  try {
    replaceFile(file, waitingXml(xml), 0o600)
    replaceFile(flag, '', 0o600)
    while (!(await hasCreated(file, timeoutMs, tools.run, deadline))) await sleep(BUSY_PAUSE_MS)
  } finally {
    for (const path of [flag, file]) rmSync(path, { force: true })
  }
}

/** False: libvirt is busy with the domain. */
async function hasCreated(file: string, timeoutMs: number, run: Virsh, deadline: number): Promise<boolean> {
  try {
    await run(['create', file, '--paused'], timeoutMs)
    return true
  } catch (error) {
    if (BUSY.test(errorText(error)) && performance.now() < deadline) return false
    throw error
  }
}

/** Into the QEMU that waits. Returns the record that is to be written then. Errors: QemuError. */
async function load(
  record: DomainRecord,
  monitor: DomainMonitor,
  timeoutMs: number,
  tools: DomainTools,
): Promise<DomainRecord> {
  const { status } = await runStatus(monitor)
  if (status !== 'inmigrate')
    throw new QemuError(`its next QEMU is in state '${status}' and does not wait for it`)
  const folder = mappedFolder(record, await readRam(monitor), tools)
  const [version, id] = await Promise.all([qemuVersionOf(monitor), activeId(record.uuid, tools.run)])
  await setOurs(monitor, 'load')
  // Without it QEMU ends when it cannot load the guest, before its reason can be read.
  const stays = compareVersions(version, EXIT_ON_ERROR) >= 0 ? { 'exit-on-error': false } : {}
  await monitor.execute('migrate-incoming', { ...fileChannels(join(folder, DOMAIN_STATE)), ...stays })
  await awaitEnd(monitor, timeoutMs)
  removeFormer(record, folder, tools)
  return { ...record, folder, id: id ?? record.id, qemuVersion: version, state: 'loaded', saved: null }
}

/**
 * In a rollback, after libvirt could not remove its folder of the old QEMU, which has one more name of the
 * RAM. After a boot that path may be another domain's, which is just being started: `before-libvirt` removes
 * what the former kernel has left.
 */
function removeFormer(
  { folder: former, bootId: itsBoot, ram }: DomainRecord,
  now: string,
  { base }: DomainTools,
): void {
  if (former !== now && itsBoot === bootId() && hasRam(former, ram, base)) removeFolder(former, base)
}

/**
 * libvirt's new folder, if all RAM that QEMU has is the guest's. Errors (QemuError): it is not, as where
 * libvirt did not call the hook.
 */
export function mappedFolder(
  { ram }: Pick<DomainRecord, 'ram'>,
  blocks: readonly RamBlock[],
  { base }: Pick<DomainTools, 'base'>,
): string {
  const paths = blocks.flatMap(({ isShared, path }) => (isShared && path !== null ? [path] : []))
  const [first] = paths
  if (first === undefined) throw new QemuError('its next QEMU has no RAM in files')
  for (const { name, inode } of ram) {
    const path = paths.find((each) => basename(each) === name)
    if (path === undefined) throw new QemuError(`its next QEMU does not have ${name} as RAM`)
    if (inodeAt(path, base) !== inode)
      throw new QemuError(
        `its next QEMU has another RAM in ${path}: libvirt did not call the hook: 'systemctl restart libvirtd' and try again`,
      )
  }
  const more = paths.find((path) => !ram.some(({ name }) => name === basename(path)))
  if (more !== undefined) throw new QemuError(`its next QEMU has more RAM in ${more}`)
  return dirname(first)
}
