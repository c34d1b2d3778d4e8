/**
 * The recording of a guest of another VMM: its program's line, its RAM files, and the commands that stand in
 * the place of QMP. What it does with its RAM is not known: docs/reference/contract.md says what it must do.
 */
import { basename, dirname, join, resolve } from 'node:path'
import { cgroupOf } from '../../linux/cgroup.ts'
import { checkVmName } from '../../run/check-names.ts'
import { UsageError } from '../../values/errors.ts'
import { PMD_BYTES } from '../../values/units.ts'
import { VM_RECORD_FORMATS } from '../../values/vm-record-format.ts'
import { findProgram } from '../binary.ts'
import { storeOf } from '../devmem-trust.ts'
import { chooseEnvironment, findVmUser } from '../identity.ts'
import { isInside, type RamFile, resolveInDirectory } from '../memory-backends.ts'
import { newClaim } from '../ram-claims.ts'
import { ramFileBytes } from '../ram-file.ts'
import { mountOf, putOnRecord, type RecordedVm, type RecordRequest } from '../record-vm.ts'
import { checkRootOnlyPath } from '../root-only-path.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { NO_MACHINE_TYPE, NO_QEMU_VERSION } from './vmm-launch.ts'

export interface VmmRequest extends Omit<RecordRequest, 'trustsDevmem' | 'suspends'> {
  /** As typed. */
  readonly ram: readonly string[]
  readonly vmm: NonNullable<VmDefinition['vmm']>
}

/** As `recordVm`. Errors (UsageError): the guest is not recorded. */
export async function recordVmm(request: VmmRequest): Promise<RecordedVm> {
  const { argv, cwd, mountPoints, vmm, order, before, after } = request
  const user = findVmUser(request.user, request.environment)
  const environment = chooseEnvironment(user, request.environment, request.extraEnvironment)
  const [name = '', ...words] = argv
  const program = findProgram(name, cwd, environment.PATH ?? '')
  if (program === undefined) throw new UsageError(`${name} is not there, or is no program`)
  const ramFiles = findVmmRam(request.ram, { cwd, mounts: mountPoints })
  const ramFile = (ramFiles[0] as RamFile).path
  if (user.uid === 0) for (const { path } of ramFiles) checkRootOnlyPath(path, mountOf(path, mountPoints))
  const { uid, gid, groups } = user
  const vmName = checkVmName(request.name ?? basename(ramFile))
  const definition: VmDefinition = {
    format: VM_RECORD_FORMATS.newest,
    name: vmName,
    argv: [program, ...words],
    environment,
    cwd,
    uid,
    gid,
    groups: [...groups],
    cgroup: cgroupOf('self') ?? null,
    order,
    machineType: NO_MACHINE_TYPE,
    qemuVersion: NO_QEMU_VERSION,
    mountPoint: mountOf(ramFile, mountPoints),
    ramFiles: [...ramFiles],
    ...(ramFiles.length > 1 && { claim: newClaim() }),
    statePath: join(dirname(ramFile), `${vmName}.vmstate`),
    ...(before.length > 0 && { before: [...before] }),
    ...(after.length > 0 && { after: [...after] }),
    vmm,
    saved: null,
  }
  const notes = await putOnRecord(definition, user, request)
  return { ramFile, definition, daemonize: false, notes }
}

interface VmmPlace {
  readonly cwd: string
  /** Mount points, resolved. */
  readonly mounts: readonly string[]
  /** Bytes of a file, and the kind of store of a mount: of this host, but for tests. */
  readonly bytesOf?: (path: string) => number | undefined
  readonly kindOf?: (mountPoint: string) => string | undefined
}

/**
 * The files as typed, each with the size that it has. Errors (UsageError): one is in no pool, has no size, or
 * is one that only QEMU can map.
 */
export function findVmmRam(
  typed: readonly string[],
  { cwd, mounts, bytesOf = ramFileBytes, kindOf = storeOf }: VmmPlace,
): RamFile[] {
  const paths = typed.map((path) => resolveInDirectory(resolve(cwd, path)))
  return paths.map((path, index) => {
    if (!mounts.some((mount) => isInside(path, mount)))
      throw new UsageError(
        `--ram ${path} is in no mounted pool${mounts.length > 0 ? `: ${mounts.join(', ')}` : ''}`,
      )
    if (paths.indexOf(path) < index) throw new UsageError(`--ram ${path} is given twice`)
    if (kindOf(mountOf(path, mounts)) === 'devmem')
      throw new UsageError(
        `--ram ${path}: only QEMU is given its window of /dev/mem: take a pool with store=memfd or dax`,
      )
    const sizeBytes = bytesOf(path) ?? 0
    if (sizeBytes === 0) throw new UsageError(`--ram ${path} has no size: 'truncate -s SIZE ${path}' first`)
    if (sizeBytes % PMD_BYTES !== 0)
      throw new UsageError(`--ram ${path}: its size is not a multiple of 2 MiB`)
    return { id: `ram${index}`, path, sizeBytes }
  })
}
