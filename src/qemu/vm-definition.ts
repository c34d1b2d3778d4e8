/**
 * The record of a VM: all it takes to start its QEMU again. It is an xattr of the VM's (first) RAM file, so
 * it lasts as long as the memory, and a `trusted.` one, so that only root can write what root will start.
 */
import * as v from 'valibot'
import { pathProblem, statBeneath, withPlace } from '../linux/beneath.ts'
import { ProcessLimitsSchema } from '../linux/process-limits.ts'
import { lgetxattr, lremovexattr, lsetxattr } from '../linux/xattr.ts'
import { isVmName } from '../run/check-names.ts'
import { ProcessSchema } from '../run/process-identity.ts'
import { E2BIG, ENODATA, ENOENT, EOPNOTSUPP, EPERM, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { KIB } from '../values/units.ts'
import { VM_RECORD_FORMATS } from '../values/vm-record-format.ts'
import { VM_XATTR } from '../values/xattr-names.ts'
import { HostFilesSchema } from './host-files.ts'
import { IvshmemAddressSchema } from './ivshmem-addresses.ts'
import { SettingsSchema } from './machine/settings.ts'
import { ThreadSchema } from './machine/threads.ts'
import { MigrationSettingsSchema } from './migration-settings.ts'
import { SavedStateSchema } from './saved-state.ts'
import { TapSchema } from './taps.ts'

/** XATTR_SIZE_MAX, include/uapi/linux/limits.h. */
const MAX_BYTES = 64 * KIB

const RamFilesSchema = v.pipe(
  v.array(
    v.object({
      id: v.string(),
      path: v.string(),
      sizeBytes: v.number(),
      /** As of `RamFile`; left out by former versions. */
      isShared: v.optional(v.boolean()),
    }),
  ),
  v.minLength(1),
)

/** Of a user or group. */
const IdSchema = v.pipe(v.number(), v.integer(), v.minValue(0))

/** What a VMM that is no QEMU is told by: docs/reference/contract.md. */
const VmmCommandsSchema = v.object({
  /** Stops the guest and writes its state; the program stays. */
  save: v.string(),
  /** Has a guest go on that `save` stopped, in the same program. */
  cancel: v.string(),
  /** Becomes a program that goes on with the saved guest. */
  start: v.string(),
})

const FieldsSchema = v.object({
  /** 2: of a guest of another VMM than QEMU. A former version would take it for a QEMU's. */
  format: v.picklist([VM_RECORD_FORMATS.oldest, VM_RECORD_FORMATS.newest]),
  name: v.pipe(v.string(), v.check(isVmName)),
  /** The line as `run` prepared it, without the options that make QEMU wait for a saved guest. */
  argv: v.pipe(v.array(v.string()), v.minLength(1)),
  environment: v.record(v.string(), v.string()),
  cwd: v.string(),
  uid: IdSchema,
  gid: IdSchema,
  groups: v.array(IdSchema),
  /** Path below /sys/fs/cgroup, or null where there is no cgroup v2. */
  cgroup: v.nullable(v.string()),
  /** The save and the start of a VM with a lower one begin first. */
  order: v.number(),
  machineType: v.string(),
  /** Of the binary in argv. */
  qemuVersion: v.string(),
  /** Of the first RAM file. */
  mountPoint: v.string(),
  /** The first one carries this record; the others may be in other pools. */
  ramFiles: RamFilesSchema,
  /**
   * `run` generates it, and writes it on each of the other RAM files (`ram-claims.ts`). Left out where there
   * is none, and by former versions, which have all RAM in one pool.
   */
  claim: v.optional(v.string()),
  /** The file in the mount that QEMU saves its device state to. */
  statePath: v.string(),
  /** Commands that are run before each QEMU, and after its end; left out where there are none. */
  before: v.optional(v.array(v.string())),
  after: v.optional(v.array(v.string())),
  /** Of a guest of another VMM, whose `argv` is the line for its power-on; left out for QEMU. */
  vmm: v.optional(VmmCommandsSchema),
  /** Its agent suspends it before each save; left out: only where it has a VFIO device. */
  suspends: v.optional(v.boolean()),
  /** Its taps when it was saved; left out until a save records them. */
  taps: v.optional(v.array(TapSchema)),
  /** The mounts and devices of the host that its QEMU had; left out until a save records them. */
  hostFiles: v.optional(HostFilesSchema),
  /** Set again before the guest continues; left out until a save records them. */
  settings: v.optional(SettingsSchema),
  /** The guest address of the memory of each ivshmem, set before the load; left out where it has none. */
  windows: v.optional(v.array(IvshmemAddressSchema)),
  /** How its threads are scheduled; left out until a save records it. */
  threads: v.optional(v.array(ThreadSchema)),
  /** Of its QEMU; left out until a save records them. */
  limits: v.optional(ProcessLimitsSchema),
  /** The cgroup of its QEMU, where that was moved after its start; left out until a save records it. */
  movedTo: v.optional(v.string()),
  /**
   * An update of it has begun and not ended; `wasRunning`: the guest runs again at its end; `argv` and
   * `ramFiles`: of the QEMU that has the guest until then, where the next one gets others; `migration`: what
   * the operator had set there. Left out otherwise, and by former versions.
   */
  underUpdate: v.optional(
    v.object({
      wasRunning: v.boolean(),
      argv: v.optional(v.array(v.string())),
      ramFiles: v.optional(RamFilesSchema),
      migration: v.optional(MigrationSettingsSchema),
      /** Its agent was asked to suspend it, in milliseconds since the epoch: it is woken at the end. */
      sleep: v.optional(v.object({ askedAtMs: v.number() })),
      /** It was suspended when its save began, by its agent or by itself; left out where it was not. */
      isSuspended: v.optional(v.boolean()),
      /** Of a guest of another VMM: the process that it was saved in. */
      vmm: v.optional(ProcessSchema),
    }),
  ),
  /** Not null: the guest is in its RAM and this state file, and may be started from them once. */
  saved: v.nullable(SavedStateSchema),
})

const VmDefinitionSchema = v.pipe(
  FieldsSchema,
  v.check(({ format, vmm }) => (format === VM_RECORD_FORMATS.newest) === (vmm !== undefined)),
)
export type VmDefinition = v.InferOutput<typeof VmDefinitionSchema>

/** Whether it is woken at the end of its update. */
export const isWoken = ({ underUpdate }: Pick<VmDefinition, 'underUpdate'>): boolean =>
  underUpdate?.sleep !== undefined

/** Whether it was suspended when its save began. */
export const wasSuspended = ({ underUpdate }: Pick<VmDefinition, 'underUpdate'>): boolean =>
  underUpdate?.isSuspended === true

export function ramFileOf(definition: VmDefinition): string {
  return (definition.ramFiles[0] as { path: string }).path
}

/** Of a VM, or of a guest of libvirt. */
interface SizedRam {
  readonly ramFiles: readonly { readonly sizeBytes: number; readonly isShared?: boolean | undefined }[]
}

/** Without memory that other VMs may have, too. */
export function ramBytesOf({ ramFiles }: SizedRam): number {
  return ramFiles.reduce((sum, { sizeBytes, isShared }) => sum + (isShared ? 0 : sizeBytes), 0)
}

/**
 * Undefined: no VM is recorded there. Errors (UsageError): the xattr is no record of a VM, or belongs to
 * another file.
 */
export function readDefinition(ramFile: string): VmDefinition | undefined {
  const value = withPlace(ramFile, ({ path }) => lgetxattr(path, VM_XATTR))
  if (value === ENODATA || value === ENOENT || value === EOPNOTSUPP) return undefined
  if (value instanceof Errno)
    throw new UsageError(`reading the VM recorded on ${ramFile} failed: ${pathProblem(value)}`)
  let parsed: VmDefinition
  try {
    parsed = parseDefinition(value)
  } catch (cause) {
    throw new UsageError(
      `the record on ${ramFile} is none of a VM: remove it with 'setfattr -h -x ${VM_XATTR} ${ramFile}'`,
      { cause },
    )
  }
  if (isSameFile(ramFileOf(parsed), ramFile)) return parsed
  throw new UsageError(
    `VM ${parsed.name} is recorded on ${ramFile} but its RAM is ${ramFileOf(parsed)}: rename the file back`,
  )
}

/** `value`: of the xattr. Throws ValiError or SyntaxError: it is no VM of this version's kind. */
export function parseDefinition(value: Uint8Array): VmDefinition {
  return v.parse(VmDefinitionSchema, JSON.parse(Buffer.from(value).toString('utf8')))
}

/** A file may have several names, and be listed under another than the one QEMU opens. */
export function isSameFile(left: string, right: string): boolean {
  if (left === right) return true
  const [a, b] = [left, right].map((path) => statBeneath(path))
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino
}

/**
 * The first RAM file of `theirs` that `own` has, too, under whatever name. Memory that both share on purpose
 * is none.
 */
export function commonRam(
  own: Pick<VmDefinition, 'ramFiles'>,
  theirs: Pick<VmDefinition, 'ramFiles'>,
): VmDefinition['ramFiles'][number] | undefined {
  return theirs.ramFiles.find(({ path, isShared }) =>
    own.ramFiles.some((file) => !(isShared && file.isShared) && isSameFile(file.path, path)),
  )
}

/** Errors (UsageError): the command line and environment are too long, no permission, the mount is full. */
export function writeDefinition(definition: VmDefinition): void {
  const value = Buffer.from(JSON.stringify(definition))
  const failed =
    value.length > MAX_BYTES
      ? E2BIG
      : withPlace(ramFileOf(definition), ({ path }) => lsetxattr(path, VM_XATTR, value))
  if (failed === undefined) return
  const reason =
    failed === E2BIG
      ? `its command line and environment take more than ${MAX_BYTES} bytes`
      : failed === EPERM
        ? process.getuid?.() === 0
          ? "the file was written as an ordinary one and is no guest RAM: make it anew ('rm', then 'truncate -s')"
          : 'it needs root'
        : pathProblem(failed)
  throw new UsageError(`VM ${definition.name} could not be recorded on ${ramFileOf(definition)}: ${reason}`)
}

/**
 * Why a guest that does not run cannot be updated: a killed update left it so, and another one would take it
 * for one that the operator has paused. undefined: it can be.
 */
export function unendedUpdate(
  { name, saved, underUpdate }: VmDefinition,
  isRunning: boolean,
): string | undefined {
  if (isRunning || (saved === null && underUpdate === undefined)) return undefined
  return `its last update did not end: 'guestmemfs resume --name ${name}' first`
}

/** With the line and the RAM files of the QEMU that still has the guest. `underUpdate` stays. */
export function asBeforeUpdate(definition: VmDefinition): VmDefinition {
  const { argv, ramFiles, underUpdate } = definition
  return {
    ...definition,
    argv: underUpdate?.argv ?? argv,
    ramFiles: underUpdate?.ramFiles ?? ramFiles,
    saved: null,
  }
}

/**
 * Removes `underUpdate` and `saved` from the record: the update was undone, or has ended. Returns the
 * definition without them. Never throws, as the guest runs: an `underUpdate` that stays says only that an
 * update began.
 */
export function endUpdate({ underUpdate: _, ...rest }: VmDefinition): VmDefinition {
  const definition = { ...rest, saved: null }
  try {
    writeDefinition(definition)
  } catch {
    // The user's directory was replaced, or the mount is full.
  }
  return definition
}

/** Removes the record; no error where the file or the record is gone. */
export function removeDefinition(ramFile: string): Errno | undefined {
  const failed = withPlace(ramFile, ({ path }) => lremovexattr(path, VM_XATTR))
  return failed === ENODATA || failed === ENOENT ? undefined : failed
}
