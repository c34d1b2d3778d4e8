/**
 * The end of one QEMU process whose guest is saved, or was never loaded into it: `quit` by QMP, then SIGKILL.
 */
import { close } from '../linux/descriptors.ts'
import { pidfdOpen, sendSignal, waitExit } from '../linux/process.ts'
import { isAlive, type ProcessIdentity } from '../run/process-identity.ts'
import { readRuntime, vmPaths } from '../run/vm-runtime.ts'
import { Errno, ESRCH } from '../values/errno.ts'
import { QemuError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { QmpClient } from './qmp-client.ts'
import type { QmpCommands } from './qmp-commands.ts'
import { hasVfio } from './vfio-devices.ts'
import type { VmDefinition } from './vm-definition.ts'

/** A QEMU whose guest is saved, and that has not ended by then, is killed: nothing is lost with it. */
const QUIT_TIMEOUT_MS = 10_000
/** The guest may be stopped meanwhile. */
const TERM_TIMEOUT_MS = 3000
const CONNECT_TIMEOUT_MS = 1000

/** undefined: it is gone. Errors (QemuError): whether it is cannot be known. */
function openProcess(name: string, pid: number): Fd | undefined {
  const pidfd = pidfdOpen(pid)
  if (!(pidfd instanceof Errno)) return pidfd
  if (pidfd === ESRCH) return undefined
  throw new QemuError(`QEMU of VM ${name} (process ${pid}) cannot be ended: ${pidfd}`)
}

/**
 * Waits for a QEMU that got `quit`, and kills it if it does not end within `quitTimeoutMs`. Errors:
 * QemuError.
 */
export async function killQemu(
  name: string,
  qemu: ProcessIdentity,
  quitTimeoutMs = QUIT_TIMEOUT_MS,
): Promise<void> {
  const { pid } = qemu
  const pidfd = openProcess(name, pid)
  if (pidfd === undefined) return
  try {
    if (!isAlive(qemu)) return // another process by now
    if (await waitExit(pidfd, quitTimeoutMs)) return
    sendSignal(pidfd, 'SIGKILL')
    if (await waitExit(pidfd, QUIT_TIMEOUT_MS)) return
    throw new QemuError(`QEMU of VM ${name} (process ${pid}) cannot be ended`)
  } finally {
    close(pidfd)
  }
}

/**
 * Ends the QEMU of a saved guest by `quit`, and by SIGKILL where it takes too long. `qmp`: a connection to
 * it; undefined: none could be had. Errors: QemuError.
 */
export async function quitSaved(
  { name, argv }: Pick<VmDefinition, 'name' | 'argv'>,
  qmp: QmpCommands | undefined,
  qemu: ProcessIdentity,
  timeoutMs: number,
): Promise<void> {
  // QEMU may end before it has answered.
  await qmp?.execute('quit').catch(() => {})
  // Of one with VFIO the kernel first resets devices, and unpins all RAM, a page at a time.
  await killQemu(name, qemu, hasVfio(argv) ? timeoutMs : undefined)
}

/**
 * Ends a QEMU that waits for a guest which it never got: by SIGTERM, since it may have opened the guest's
 * images, and then closes them. Errors: QemuError.
 */
export async function endWaiting(name: string, qemu: ProcessIdentity): Promise<void> {
  const pidfd = openProcess(name, qemu.pid)
  if (pidfd === undefined) return
  if (isAlive(qemu)) sendSignal(pidfd, 'SIGTERM')
  close(pidfd)
  await killQemu(name, qemu, TERM_TIMEOUT_MS)
}

/**
 * Ends a QEMU that has not loaded its guest and still waits for it. One that cannot be ended is left, without
 * an error. `ramFile`: of that VM; one of the same name in another pool may run.
 */
export async function endQemu(name: string, ramFile: string): Promise<void> {
  const runtime = readRuntime(name)
  const qemu = runtime?.ramFile === ramFile ? runtime.qemu : null
  if (qemu === null) return
  const qmp = await QmpClient.connect(vmPaths(name).qmp, CONNECT_TIMEOUT_MS).catch(() => undefined)
  await qmp?.execute('quit').catch(() => {})
  qmp?.close()
  await killQemu(name, qemu).catch(() => {})
}
