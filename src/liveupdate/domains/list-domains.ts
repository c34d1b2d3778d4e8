/** Domains of libvirt in the list of a host's guests: those in a pool as rows, all others by the reason. */
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { type ActiveDomain, activeDomains } from '../../libvirt/active-domains.ts'
import { describeDomain } from '../../libvirt/describe-domain.ts'
import { type DomainRecord, readDomainRecords } from '../../libvirt/domain-record.ts'
import { savedFolder } from '../../libvirt/saved-ram.ts'
import { ramBytesOf } from '../../qemu/vm-definition.ts'
import type { ListedVm } from '../../qemu/vm-list.ts'
import { subjectOf } from '../preflight/check-guests.ts'

export interface DomainTable {
  /** Of these mounts. */
  readonly rows: readonly ListedVm[]
  /** One line for each that cannot be updated. */
  readonly others: readonly string[]
  readonly problems: readonly string[]
}

export async function listDomains(mountPoints: readonly string[]): Promise<DomainTable> {
  const { ours, others, problems } = await activeDomains()
  const { records, problems: unread } = readDomainRecords()
  const isHere = ({ mountPoint }: { readonly mountPoint: string }): boolean =>
    mountPoints.includes(mountPoint)
  const isActive = ({ uuid }: DomainRecord): boolean => ours.some(({ about }) => about.uuid === uuid)
  return {
    rows: [
      ...ours.filter(isHere).map((domain) => activeRow(domain, records)),
      ...records.filter((record) => isHere(record) && !isActive(record)).map(savedRow),
    ],
    others: others.map(
      ({ name, whyNot }) => `${subjectOf({ name })} of libvirt cannot be updated: ${whyNot}`,
    ),
    problems: [...problems, ...unread],
  }
}

/** With a record it was left by an update that was killed, or one that is under way. */
function activeRow({ about, pid, folder, ram }: ActiveDomain, records: readonly DomainRecord[]): ListedVm {
  const { uuid, name, machine } = about
  const record = records.find((each) => each.uuid === uuid)
  return {
    ...row(folder, { uuid, name, ram }),
    state: record === undefined ? 'running' : 'stopped',
    pid: pid ?? null,
    machineType: machine,
    qemuVersion: record?.qemuVersion ?? '-',
    savedAtMs: null,
  }
}

function savedRow(record: DomainRecord): ListedVm {
  const { mountPoint, uuid, xml, qemuVersion, saved } = record
  return {
    ...row(savedFolder(mountPoint, uuid), record),
    // Its QEMU has ended before it was saved.
    state: record.state === 'saved' ? 'saved' : 'dead',
    pid: null,
    machineType: describeDomain(xml).machine,
    qemuVersion,
    savedAtMs: saved === null ? null : Math.round(saved.stoppedAtMs),
  }
}

interface Listed extends Pick<DomainRecord, 'uuid' | 'name'> {
  readonly ram: ActiveDomain['ram']
}

function row(folder: string, { uuid, name, ram }: Listed) {
  const ramFiles = ram.map((file) => ({
    path: join(folder, file.name),
    sizeBytes: file.sizeBytes,
    isShared: false,
  }))
  const ramFile = ramFiles[0]?.path ?? folder
  return {
    ...{ name, uuid, ramFile, ramFiles },
    order: 0,
    uid: lstatSync(ramFile, { throwIfNoEntry: false })?.uid ?? 0,
    ramBytes: ramBytesOf({ ramFiles }),
  }
}
