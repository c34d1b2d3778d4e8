/**
 * RAM files by what the kernel shows of them: whether a QEMU has mapped that very file, whether another VM's
 * has, and whether the VM's user may open it. QEMU is that user's process, so no answer of it counts as
 * proof.
 */
import { closeSync, constants, openSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { openBeneath, statBeneath, withMount } from '../linux/beneath.ts'
import { asUser, type Credentials } from '../linux/credentials.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { mapsDevice, mapsFile } from '../linux/mapped-files.ts'
import { type LiveVm, liveVms, otherRuntimeProblems, vmPaths } from '../run/vm-runtime.ts'
import { ELOOP, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { readIvshmems } from './ivshmem-addresses.ts'
import { askOf } from './machine/ask.ts'
import { readRam } from './machine/read-machine.ts'
import type { RamFile } from './memory-backends.ts'
import { QmpClient } from './qmp-client.ts'
import { readRamDevice, readRamMap } from './ram-file.ts'
import { isSameFile, readDefinition } from './vm-definition.ts'

/** A QEMU that is being updated answers only the command that updates it. */
const QMP_TIMEOUT_MS = 1000

/**
 * Whether the process has mapped the file that has this name now, shared and writable. False for a pool whose
 * files no process maps by name (`store=devmem`). Errors (UsageError): it is no file of a mount.
 */
export const isMappedBy = (pid: number, path: string): boolean => mappersOf(path)(pid)

function mappersOf(path: string): (pid: number) => boolean {
  const device = readRamDevice(path)
  if (device !== undefined) return (pid) => mapsDevice(pid, device.number)
  // Until a device is made for the file, no process maps it.
  const file = readRamMap(path).by === 'passthrough' ? statBeneath(path) : undefined
  return (pid) => file !== undefined && mapsFile(pid, file)
}

/**
 * A VM other than `name` whose running QEMU has the file as RAM, on record or not: RAM that is plugged is on
 * record only from the VM's next update on. Memory that both have for ivshmems alone is none. Errors
 * (UsageError): it is no file of a mount; a process has mapped it that may be the QEMU of a VM whose record
 * in /run is damaged.
 */
export async function otherMapper(
  name: string,
  { path, isShared }: Pick<RamFile, 'path' | 'isShared'>,
): Promise<LiveVm | undefined> {
  const isMapped = mappersOf(path)
  const live = liveVms()
  for (const vm of live)
    if (vm.name !== name && isMapped(vm.qemu.pid) && !(isShared && (await sharesFile(vm, path)))) return vm
  const [problem] = otherRuntimeProblems(name)
  if (problem !== undefined && mapperBesides(live, isMapped)) throw new UsageError(problem)
  return undefined
}

/** Whether a process that is none of these VMs' QEMUs has mapped the file. */
const mapperBesides = (live: readonly LiveVm[], isMapped: (pid: number) => boolean): boolean =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .some((pid) => !live.some(({ qemu }) => qemu.pid === pid) && isMapped(pid))

/** Whether the VM has the file for ivshmems alone; false: also where its QEMU does not answer. */
async function sharesFile({ name, ramFile }: LiveVm, path: string): Promise<boolean> {
  let qmp: QmpClient | undefined
  try {
    const { cwd = '/', ramFiles = [] } = readDefinition(ramFile) ?? {}
    if (ramFiles.some((file) => file.isShared && isSameFile(file.path, path))) return true
    qmp = await QmpClient.connect(vmPaths(name).qmp, QMP_TIMEOUT_MS)
    const [ram, shared] = await Promise.all([readRam(qmp), readIvshmems(askOf(qmp))])
    const blocks = ram.filter((block) => block.path !== null && isSameFile(resolve(cwd, block.path), path))
    return blocks.length > 0 && blocks.every(({ id }) => shared.some(({ memory }) => memory === id))
  } catch {
    return false
  } finally {
    qmp?.close()
  }
}

/**
 * Why `user` could not open the file as RAM; undefined: they can, or only the start of the next QEMU will
 * show it. Errors (UsageError): it is no file of a mount.
 */
export function whyNotOpenedAsRam(path: string, user: Credentials): Errno | undefined {
  const device = readRamDevice(path)
  const opened = withMount(path, (root, way) => asUser(user, () => openBeneath(root, way, constants.O_RDWR)))
  if (!(opened instanceof Errno)) closeSync(opened)
  // A symlink to a device: its node has the file's owner and mode.
  if (opened === ELOOP && device !== undefined) return whyNotOpenedNode(device.node, user)
  return opened instanceof Errno ? opened : undefined
}

function whyNotOpenedNode(node: string, user: Credentials): Errno | undefined {
  try {
    closeSync(asUser(user, () => openSync(node, constants.O_RDWR)) as Fd)
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}
