/**
 * The resumption of a domain whose record is there, wherever its update ended: saved and without a QEMU,
 * stopped in its old one, loaded into its next one. Only the record has it, so each state of it is taken
 * together with what libvirt and QEMU say. The caller holds the domain's lock.
 */
import { bootId } from '../linux/boot-id.ts'
import { readRam } from '../qemu/machine/read-machine.ts'
import { queryMigration, runStatus } from '../qemu/migration.ts'
import { QemuError, UsageError } from '../values/errors.ts'
import { DomainMonitor } from './domain-monitor.ts'
import { type DomainRecord, refuseStarts, writeDomainRecord } from './domain-record.ts'
import { activeId } from './domain-state.ts'
import {
  continueDomain,
  type DomainLoad,
  type LoadedDomain,
  loadDomain,
  mappedFolder,
} from './load-domain.ts'
import { cancelDomainSave, type DomainTools, forgetDomain, REAL_TOOLS } from './save-domain.ts'
import { hasRam } from './saved-ram.ts'

/** Errors: as of `loadDomain`; GuestStoppedError's are QemuErrors here. */
export async function resumeDomain(load: DomainLoad): Promise<LoadedDomain> {
  const { record, tools = REAL_TOOLS } = load
  const { uuid, state, qemuVersion } = record
  const id = await activeId(uuid, tools.run)
  // Asked before the ids are compared: libvirt may have given the old QEMU's to one that waits, since a
  // command was killed between the start and the load. The old QEMU never waits for a guest.
  if (state === 'saved' && (id === undefined || (await isWaiting(uuid, tools)))) {
    if (id !== undefined) await tools.run(['destroy', uuid])
    refuseStarts(record, tools.records)
    return await loadDomain(load)
  }
  const isOld = id !== undefined && isOldQemu(id, record, tools)
  if (id === undefined || (state === 'saving' && !isOld)) {
    forgetDomain(record, tools)
    throw new QemuError('it was not saved, and its QEMU has ended: nothing is left to resume')
  }
  if (isOld) {
    const left = await cancelDomainSave(record, tools)
    return { qemuVersion, unset: left === undefined ? [] : [left] }
  }
  const loaded = state === 'loaded' ? record : await loadedRecord(record, id, tools)
  if (loaded !== record) writeDomainRecord(loaded, tools.records)
  return await continueDomain(loaded, tools)
}

/**
 * Whether the QEMU of that id is the one that the guest was saved in. libvirt may have given the id again:
 * then another guest of this domain has another RAM in the folder of that path.
 */
const isOldQemu = (id: number, { state, ...record }: DomainRecord, { base }: DomainTools): boolean =>
  state !== 'loaded' &&
  id === record.id &&
  record.bootId === bootId() &&
  (state === 'saving' || hasRam(record.folder, record.ram, base))

/**
 * The record of a saved guest that its next QEMU has: a command was killed after the load, or libvirt's user
 * let it run. Errors: QemuError; UsageError, that QEMU has another RAM: the saved guest is all there is of
 * it.
 */
async function loadedRecord(record: DomainRecord, id: number, tools: DomainTools): Promise<DomainRecord> {
  const { name, uuid } = record
  const ram = await readRam(new DomainMonitor(uuid, tools.run))
  try {
    return { ...record, id, folder: mappedFolder(record, ram, tools), state: 'loaded', saved: null }
  } catch (cause) {
    const advice = `'virsh destroy ${name}' and resume it, unless its disks were written to since: then give the saved guest up (docs/guide/libvirt.md)`
    throw new UsageError(`libvirt has started it anew, without its saved guest: ${advice}`, { cause })
  }
}

/** Whether the QEMU that libvirt runs has no guest in it yet. Errors: QemuError. */
async function isWaiting(uuid: string, { run }: DomainTools): Promise<boolean> {
  const monitor = new DomainMonitor(uuid, run)
  if ((await runStatus(monitor)).status !== 'inmigrate') return false
  const { status = 'none' } = await queryMigration(monitor)
  return status !== 'completed'
}
