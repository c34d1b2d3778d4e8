/**
 * The recording of a VM from a typed QEMU command line: what the line, the binary or another VM's record
 * refuses is refused before a RAM file is made.
 */
import { basename, dirname, join } from 'node:path'
import { pathProblem } from '../linux/beneath.ts'
import { cgroupOf } from '../linux/cgroup.ts'
import { checkVmName } from '../run/check-names.ts'
import { lockRecording } from '../run/recording-lock.ts'
import { liveQemu, runtimeProblem } from '../run/vm-runtime.ts'
import { UsageError } from '../values/errors.ts'
import { PMD_BYTES } from '../values/units.ts'
import { findBinary, probeBinary } from './binary.ts'
import { argumentsOf, type CommandLine, pairsOf, parseCommandLine } from './command-line.ts'
import { checkDevmemTrust, storeOf } from './devmem-trust.ts'
import { nodeNotes } from './host-nodes.ts'
import { chooseEnvironment, findVmUser, type VmUser } from './identity.ts'
import { folderNotes } from './machine/helpers.ts'
import { otherMapper } from './mapped-ram.ts'
import { hasRamFile, isInside, type RamFile } from './memory-backends.ts'
import { impliedValue } from './option-string.ts'
import {
  type Claim,
  claimRam,
  endRecord,
  newClaim,
  otherClaims,
  pruneClaims,
  releaseRam,
} from './ram-claims.ts'
import { inodeOf, prepareRamFile, removeRamFile } from './ram-file.ts'
import { checkRootOnlyPath } from './root-only-path.ts'
import { sleepNotes } from './sleep/sleep-notes.ts'
import { prepareCommandLine } from './vm-command-line.ts'
import {
  commonRam,
  isSameFile,
  ramFileOf,
  readDefinition,
  removeDefinition,
  type VmDefinition,
  writeDefinition,
} from './vm-definition.ts'
import { readVms } from './vm-list.ts'

export interface RecordRequest {
  readonly argv: readonly string[]
  readonly cwd: string
  readonly environment: NodeJS.ProcessEnv
  /** Resolved. The guest's RAM may lie in several. */
  readonly mountPoints: readonly string[]
  /** The RAM files of all mounts that carry a record, as they are when it is called. */
  readonly recordedFiles: () => readonly string[]
  readonly name: string | undefined
  readonly user: string | undefined
  readonly order: number
  /** Commands, run before each QEMU and after its end. */
  readonly before: readonly string[]
  readonly after: readonly string[]
  /** More environment variables to record, `NAME` or `NAME=VALUE`. */
  readonly extraEnvironment: readonly string[]
  /** Its agent suspends it before each save. */
  readonly suspends: boolean
  /** A QEMU of another user's may be started as root, to open /dev/mem. */
  readonly trustsDevmem: boolean
  /** Take the place of a VM that is recorded on the same RAM but does not run. */
  readonly replace: boolean
}

export interface RecordedVm {
  readonly ramFile: string
  readonly definition: VmDefinition
  readonly daemonize: boolean
  readonly notes: readonly string[]
}

/**
 * Records the VM; nothing is started yet. Errors (UsageError): see the files this calls; the VM is not
 * recorded then.
 */
export async function recordVm(request: RecordRequest): Promise<RecordedVm> {
  const { argv, cwd } = request
  const line = parseCommandLine(argv)
  const user = findVmUser(request.user, request.environment)
  const environment = chooseEnvironment(user, request.environment, request.extraEnvironment)
  const mounts = chooseMounts(line, request)
  const { extraEnvironment, trustsDevmem: isTrusted } = request
  for (const mount of mounts)
    checkDevmemTrust({ uid: user.uid, store: storeOf(mount), isTrusted, extraEnvironment })
  const binary = await probeBinary(findBinary(line.binary, cwd, environment.PATH ?? ''), {
    ...user,
    environment,
  })
  const prepared = prepareCommandLine(line, { cwd, mounts }, binary)
  for (const file of prepared.ramFiles) checkShared(file, mounts)
  const ramFile = (prepared.ramFiles[0] as { path: string }).path
  const name = checkVmName(request.name ?? guestName(line) ?? basename(ramFile))
  if (user.uid === 0) for (const { path } of prepared.ramFiles) checkRootOnlyPath(path, mountOf(path, mounts))
  const { uid, gid, groups } = user
  const definition: VmDefinition = {
    format: 1,
    name,
    argv: [...prepared.argv],
    environment,
    cwd,
    uid,
    gid,
    groups: [...groups],
    cgroup: cgroupOf('self') ?? null,
    order: request.order,
    machineType: prepared.machineType,
    qemuVersion: binary.version,
    mountPoint: mountOf(ramFile, mounts),
    ramFiles: [...prepared.ramFiles],
    ...(prepared.ramFiles.length > 1 && { claim: newClaim() }),
    statePath: join(dirname(ramFile), `${name}.vmstate`),
    ...(request.before.length > 0 && { before: [...request.before] }),
    ...(request.after.length > 0 && { after: [...request.after] }),
    ...(request.suspends && { suspends: true }),
    saved: null,
  }
  const ofSleep = sleepNotes(definition)
  const ofFiles = await putOnRecord(definition, user, request)
  const notes = [
    ...prepared.notes,
    ...folderNotes(storeOf(definition.mountPoint), line),
    ...ofSleep,
    ...ofFiles,
  ]
  return { ramFile, definition, daemonize: prepared.daemonize, notes }
}

/**
 * Returns what the operator should know of the RAM files. Errors (UsageError): another VM has its name or
 * some of its RAM; a RAM file cannot be made or opened, or is not of a memory node that its line binds it to.
 */
export async function putOnRecord(
  definition: VmDefinition,
  user: VmUser,
  request: Pick<RecordRequest, 'recordedFiles' | 'mountPoints' | 'replace'>,
): Promise<string[]> {
  const unlock = await lockRecording()
  try {
    const { replaced, overruled } = refuseConflicts(definition, request)
    await refusePlugged(definition)
    const notes = record(definition, user, replaced)
    pruneClaims(definition, overruled)
    return notes
  } finally {
    unlock()
  }
}

/**
 * The record is an xattr of the RAM file and must be there before QEMU starts, so the files must be, too.
 * What is refused leaves former records as they were, and no file that was made for it. `replaced`: RAM files
 * whose record goes. Returns what the operator should know of the files.
 */
function record(definition: VmDefinition, user: VmUser, replaced: readonly string[]): string[] {
  const ramFile = ramFileOf(definition)
  const former = readDefinition(ramFile)
  const made: { readonly path: string; readonly inode: number | undefined }[] = []
  let notes: string[]
  try {
    for (const file of definition.ramFiles)
      if (prepareRamFile(file, user)) made.push({ path: file.path, inode: inodeOf(file.path) })
    notes = nodeNotes(definition)
    claimRam(definition)
    writeDefinition(definition)
  } catch (error) {
    releaseRam(definition, definition.ramFiles)
    for (const { path, inode } of made) removeRamFile(path, inode)
    throw error
  }
  for (const path of replaced) {
    const failed = isSameFile(path, ramFile) ? undefined : removeDefinition(path)
    if (failed === undefined) continue
    if (former === undefined) removeDefinition(ramFile)
    else writeDefinition(former)
    throw new UsageError(`the record on ${path} could not be removed: ${pathProblem(failed)}`)
  }
  return notes
}

/**
 * Removes the record that `recordVm` wrote, when its QEMU never started. The record of a guest that was saved
 * meanwhile stays: without it no program could find its RAM and state file.
 */
export function removeUnstartedRecord({ ramFile, definition }: RecordedVm): void {
  let now: VmDefinition | undefined
  try {
    now = readDefinition(ramFile)
  } catch {
    return // another record is there now
  }
  if (now?.name === definition.name && now.saved === null) endRecord(definition)
}

/** The mounts that the guest's RAM is in; all, where it is in none: `findRamFiles` reports that. */
function chooseMounts(line: CommandLine, { cwd, mountPoints }: RecordRequest): readonly string[] {
  if (mountPoints.length === 0)
    throw new UsageError("no pool is mounted: mount one with 'guestmemfs mount guestmemfs DIR'")
  const found = mountPoints.filter((mount) => hasRamFile(line, { cwd, mounts: [mount] }))
  return found.length > 0 ? found : mountPoints
}

/** Of mounts within each other, the inner one. */
export const mountOf = (path: string, mounts: readonly string[]): string =>
  mounts.filter((mount) => isInside(path, mount)).toSorted((a, b) => b.length - a.length)[0] as string

/**
 * Refuses memory that other VMs share where QEMU would map it by a device: that takes whole pages of 2 MiB,
 * and a window of /dev/mem is one VM's.
 */
function checkShared({ id, path, sizeBytes, isShared }: RamFile, mounts: readonly string[]): void {
  const store = isShared ? storeOf(mountOf(path, mounts)) : undefined
  if (store === 'devmem')
    throw new UsageError(
      `memory backend '${id}' on ${path}: memory of an ivshmem cannot be in a pool with store=devmem`,
    )
  if (store === 'dax' && sizeBytes % PMD_BYTES !== 0)
    throw new UsageError(
      `memory backend '${id}' on ${path}: in a pool with store=dax its size must be a multiple of 2 MiB`,
    )
}

function guestName(line: CommandLine): string | undefined {
  const [option] = argumentsOf(line, 'name')
  return option && impliedValue(pairsOf(option), 'guest')
}

/** Errors (UsageError): a file was plugged into a VM that runs, and is on no record of it yet. */
async function refusePlugged({ name, ramFiles }: VmDefinition): Promise<void> {
  for (const file of ramFiles) {
    if (inodeOf(file.path) === undefined) continue
    const other = await otherMapper(name, file)
    if (other === undefined) continue
    throw new UsageError(
      `${file.path} was plugged into VM ${other.name}, which is running (process ${other.qemu.pid}): take it out there (device_del, object-del), or take another file`,
    )
  }
}

/**
 * Returns the RAM files whose record the new one replaces, and the claims that it takes over. Errors
 * (UsageError): another VM has the name, or some of the RAM, also by another name of its file; or a record
 * that is there cannot be read, or is of a file that was renamed: it may be that of a saved guest.
 */
function refuseConflicts(
  definition: VmDefinition,
  { recordedFiles, mountPoints, replace }: Pick<RecordRequest, 'recordedFiles' | 'mountPoints' | 'replace'>,
): { readonly replaced: readonly string[]; readonly overruled: readonly Claim[] } {
  const { name, ramFiles } = definition
  const there = ramFiles.flatMap(({ path }) => readDefinition(path) ?? [])
  const claims = otherClaims(definition)
  for (const each of [name, ...there.map((their) => their.name), ...claims.map(({ claim }) => claim.name)]) {
    const problem = runtimeProblem(each)
    if (problem !== undefined) throw new UsageError(problem)
  }
  const replaced: string[] = []
  for (const { definition: their, state, qemu } of readVms([...recordedFiles(), ...there.map(ramFileOf)])
    .vms) {
    const { name: other } = their
    const shared = commonRam(definition, their)
    const isHere = mountPoints.some((mount) => isInside(ramFileOf(their), mount))
    if (shared === undefined && (other !== name || !isHere)) continue
    const what = shared === undefined ? `a VM named ${other}` : `VM ${other} on ${shared.path}`
    if (state === 'running') throw new UsageError(`${what} is running (process ${qemu?.pid})`)
    if (shared === undefined)
      throw new UsageError(`${what} is recorded on ${ramFileOf(their)}: choose another --name`)
    if (!replace)
      throw new UsageError(
        state === 'saved'
          ? `${what} is saved: continue it with 'guestmemfs resume --name ${other}', or take its place with --replace`
          : `${what} is recorded, but its QEMU is gone: start over with --replace`,
      )
    replaced.push(ramFileOf(their))
  }
  const claimed = claims.find(
    ({ claim }) =>
      !replaced.includes(claim.ramFile) && (!replace || liveQemu(claim.name, claim.ramFile) !== undefined),
  )
  if (claimed !== undefined)
    throw new UsageError(
      `${claimed.path} is RAM of VM ${claimed.claim.name}, which is recorded on ${claimed.claim.ramFile} of pool '${claimed.claim.pool}': mount that pool, or, if the VM does not run, take its place with --replace`,
    )
  const live = liveQemu(name)
  if (live !== undefined) throw new UsageError(`a VM named ${name} is running (process ${live.pid})`)
  return { replaced, overruled: claims.map(({ claim }) => claim) }
}
