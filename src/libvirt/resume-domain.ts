/**
 * The resumption of a domain whose record is there, wherever its update ended: saved and without a QEMU,
 * stopped in its old one, loaded into its next one. Only the record has it, so each state of it is taken
 * together with what libvirt and QEMU say. The caller holds the domain's lock.
 */
import { bootId } from '../linux/boot-id.ts'
import { queryMigration, runStatus } from '../qemu/migration.ts'
import { QemuError } from '../values/errors.ts'
import { DomainMonitor } from './domain-monitor.ts'
import { type DomainRecord, writeDomainRecord } from './domain-record.ts'
import { activeId } from './domain-state.ts'
import { continueDomain, type DomainLoad, type LoadedDomain, loadDomain } from './load-domain.ts'
import { cancelDomainSave, type DomainTools, forgetDomain, REAL_TOOLS } from './save-domain.ts'

/** Errors: as of `loadDomain`; GuestStoppedError's are QemuErrors here. */
export async function resumeDomain(load: DomainLoad): Promise<LoadedDomain> {
  const { record, tools = REAL_TOOLS } = load
  const { uuid, state, qemuVersion } = record
  const id = await activeId(uuid, tools.run)
  if (id === undefined) {
    if (state === 'saved') return await loadDomain(load)
    forgetDomain(record, tools)
    throw new QemuError('it was not saved, and its QEMU has ended: nothing is left to resume')
  }
  const isOld = id === record.id && record.bootId === bootId() && state !== 'loaded'
  if (isOld) {
    const left = await cancelDomainSave(record, tools)
    return { qemuVersion, unset: left === undefined ? [] : [left] }
  }
  if (state === 'saved' && (await isWaiting(uuid, tools))) {
    // A command was killed between the start and the load.
    await tools.run(['destroy', uuid])
    return await loadDomain(load)
  }
  // Its next QEMU has it: a command was killed after the load, or libvirt's user let it run.
  const loaded: DomainRecord = { ...record, state: 'loaded', saved: null }
  if (state !== 'loaded') writeDomainRecord(loaded, tools.records)
  return await continueDomain(loaded, tools)
}

/** Whether the QEMU that libvirt runs has no guest in it yet. Errors: QemuError. */
async function isWaiting(uuid: string, { run }: DomainTools): Promise<boolean> {
  const monitor = new DomainMonitor(uuid, run)
  if ((await runStatus(monitor)).status !== 'inmigrate') return false
  const { status = 'none' } = await queryMigration(monitor)
  return status !== 'completed'
}
