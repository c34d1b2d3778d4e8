/**
 * The record of a domain that is being updated or is saved: on the host's disk, since libvirt and its hook
 * look for it before any pool is mounted, and for root alone, since it has the domain's passwords.
 *
 * `UUID`, beside it, is a symlink to the folder of its RAM, exactly as long as a saved guest waits: while it
 * is there the hook lets nobody else start the domain.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { writeDurably } from '../host/write-durably.ts'
import { MigrationSettingsSchema } from '../qemu/migration-settings.ts'
import { SavedStateSchema } from '../qemu/saved-state.ts'
import { errorText, UsageError } from '../values/errors.ts'
import { LIBVIRT_PATHS } from '../values/libvirt-paths.ts'
import { savedFolder } from './saved-ram.ts'

const DomainRecordSchema = v.object({
  format: v.literal(1),
  uuid: v.pipe(v.string(), v.regex(/^[0-9a-f-]{36}$/)),
  name: v.string(),
  /** libvirt's live XML, with passwords, when the update began. */
  xml: v.string(),
  /** Of the kernel, and libvirt's id of the domain, when the update began. */
  bootId: v.string(),
  id: v.number(),
  /** libvirt's folder of its RAM then. */
  folder: v.string(),
  mountPoint: v.string(),
  ram: v.array(v.object({ name: v.string(), inode: v.number(), sizeBytes: v.number() })),
  wasRunning: v.boolean(),
  /** As the operator had set it, or libvirt. */
  migration: MigrationSettingsSchema,
  qemuVersion: v.string(),
  /**
   * `saving`: its QEMU has the guest. `saved`: the guest is in its RAM and its state, and may be loaded once.
   * `loaded`: its next QEMU has the guest.
   */
  state: v.picklist(['saving', 'saved', 'loaded']),
  /** Not null in `saved` alone. */
  saved: v.nullable(SavedStateSchema),
})
export type DomainRecord = v.InferOutput<typeof DomainRecordSchema>

export interface DomainRecords {
  readonly records: readonly DomainRecord[]
  /** One line for each that cannot be read. */
  readonly problems: readonly string[]
}

const fileOf = (folder: string, uuid: string): string => join(folder, `${uuid}.json`)

/** All of this host. `folder`, here and below, is for tests. */
export function readDomainRecords(folder = LIBVIRT_PATHS.records): DomainRecords {
  const records: DomainRecord[] = []
  const problems: string[] = []
  for (const name of namesOf(folder)) {
    try {
      records.push(parseDomainRecord(readFileSync(join(folder, name), 'utf8')))
    } catch (error) {
      const path = join(folder, name)
      problems.push(
        `${path} is no record of a domain: remove it, and ${path.slice(0, -5)} (${errorText(error)})`,
      )
    }
  }
  return { records, problems }
}

/** Throws ValiError or SyntaxError. */
export const parseDomainRecord = (text: string): DomainRecord => v.parse(DomainRecordSchema, JSON.parse(text))

/** undefined: there is none. Errors (UsageError): it cannot be read. */
export function readDomainRecord(uuid: string, folder = LIBVIRT_PATHS.records): DomainRecord | undefined {
  if (!existsSync(fileOf(folder, uuid))) return undefined
  try {
    return parseDomainRecord(readFileSync(fileOf(folder, uuid), 'utf8'))
  } catch (cause) {
    throw new UsageError(`${fileOf(folder, uuid)} is no record of a domain`, { cause })
  }
}

/**
 * The caller writes it before what it says becomes true for others. This makes the symlink after a record
 * that says `saved`, and removes it after one that says something else. Errors: UsageError.
 */
export function writeDomainRecord(record: DomainRecord, folder = LIBVIRT_PATHS.records): void {
  const { uuid, mountPoint, state } = record
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    chmodSync(folder, 0o700)
    writeDurably(fileOf(folder, uuid), JSON.stringify(record), 0o600)
    if (state !== 'saved') rmSync(join(folder, uuid), { force: true })
    else refuseStarts({ uuid, mountPoint }, folder)
  } catch (error) {
    throw new UsageError(`the record of domain ${record.name} could not be written: ${errorText(error)}`)
  }
}

/**
 * Makes the symlink of a saved domain, where it is missing: a command was killed right before it, or an
 * operator has put a record back that the hook had put aside. Errors: Node's.
 */
export function refuseStarts(
  { uuid, mountPoint }: Pick<DomainRecord, 'uuid' | 'mountPoint'>,
  folder = LIBVIRT_PATHS.records,
): void {
  const [path, target] = [join(folder, uuid), savedFolder(mountPoint, uuid)]
  try {
    if (readlinkSync(path) === target) return
  } catch {
    // There is none, or something else.
  }
  rmSync(path, { force: true })
  symlinkSync(target, path)
}

/** Never throws: a record that stays is found by the next command. */
export function removeDomainRecord(uuid: string, folder = LIBVIRT_PATHS.records): void {
  try {
    for (const path of [join(folder, uuid), fileOf(folder, uuid)]) rmSync(path, { force: true })
  } catch {
    // The disk is read-only.
  }
}

function namesOf(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json') && !name.startsWith('.'))
  } catch {
    return [] // no domain was ever updated
  }
}
