/**
 * The start of a saved guest's QEMU by the command that resumes it, with no process of Node in between: the
 * guest is stopped, and each such process would take as long as QEMU itself. A guest has one QEMU at most
 * here as well (`become-qemu.ts`): the child has the VM's lock and is on record before it executes QEMU, and
 * ends without that where this process dies first.
 */
import type { ChildProcess } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { cgroupOf, joinCgroup } from '../../linux/cgroup.ts'
import { close } from '../../linux/descriptors.ts'
import { executeHeld, heldProgram } from '../../linux/held-program.ts'
import { killChild } from '../../linux/process.ts'
import { setProcessLimits } from '../../linux/process-limits.ts'
import { listenUnix } from '../../linux/unix-listener.ts'
import { identify } from '../../run/process-identity.ts'
import { makeVmDirectory, readRuntime, tryLock, vmPaths } from '../../run/vm-runtime.ts'
import { formatTimeout } from '../../values/duration.ts'
import { QemuError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { LATE, within } from '../../values/within.ts'
import { isInDevmem } from '../devmem-trust.ts'
import { markErrorOutput } from '../error-output.ts'
import type { LoadRequest } from '../load-and-continue.ts'
import type { RamMapping } from '../ram-mapping.ts'
import { endLeftOver } from '../successor/left-over.ts'
import { ramFileOf, type VmDefinition } from '../vm-definition.ts'
import { type Inherited, recordStart } from './execute-qemu.ts'
import { spawnQemu } from './spawn-qemu.ts'
import { prepareStart } from './start-arguments.ts'
import {
  closeStreams,
  endOfChild,
  logStreams,
  type Started,
  type Streams,
  startQemu,
} from './start-process.ts'

/** In the child, behind the descriptors that QEMU inherits. */
const SOCKET = 5
/** The state of a guest that is started before its mount is there. */
const STATE = 6
/** As QEMU opens it. */
export const STATE_PATH = `/proc/self/fd/${STATE}`

/** What a guest is started from where its mount is not there yet. */
export interface BeforeMount {
  readonly mappings: readonly RamMapping[]
  /** A memfd with the bytes of its state file. */
  readonly state: Fd
}

/**
 * Errors (QemuError, UsageError): the VM runs already, /run takes no record, QEMU cannot be executed, or is
 * not within `timeoutMs`. The guest stays saved. Returns what the wait for its QMP takes; what QEMU prints
 * goes to the VM's log.
 */
export async function startSaved(
  definition: VmDefinition,
  timeoutMs: number,
  beforeMount?: BeforeMount,
): Promise<Pick<LoadRequest, 'before' | 'ended' | 'mark'>> {
  const before = readRuntime(definition.name)
  const streams = logStreams(definition.name)
  // A QEMU that fails at once has written why before this process goes on.
  const mark = markErrorOutput(definition.name)
  const { ended } = await startWith(streams, definition, timeoutMs, beforeMount).finally(() =>
    closeStreams(streams),
  )
  return { before, ended, mark }
}

async function startWith(
  streams: Streams,
  definition: VmDefinition,
  timeoutMs: number,
  beforeMount: BeforeMount | undefined,
): Promise<Pick<Started, 'ended'>> {
  const { name, before = [], vmm } = definition
  const program = heldProgram(SOCKET)
  // What another process would start from is read from the mount.
  if (program === undefined && beforeMount !== undefined)
    throw new QemuError(`VM ${name} needs its mount to start`)
  // A command before QEMU must run in the VM's cgroup, where the processes that it leaves stay, and a window
  // of /dev/mem must be mapped by the process that executes QEMU. Another VMM gets no socket.
  const isPlain = vmm === undefined && before.length === 0
  if (program === undefined || !isPlain || (beforeMount === undefined && isInDevmem(definition)))
    return startQemu('first', ramFileOf(definition), { streams })
  const lock = tryLock(makeVmDirectory(name).lock)
  if (lock === undefined) throw new QemuError(`VM ${name} runs already`)
  try {
    await endLeftOver(name)
    const monitor = listenUnix(vmPaths(name).qmp)
    const inherited = { monitor, lock }
    return await startHeld({ program, definition, streams, inherited, timeoutMs, beforeMount }).finally(() =>
      close(monitor),
    )
  } finally {
    close(lock)
  }
}

interface HeldStart {
  readonly program: string
  readonly definition: VmDefinition
  readonly streams: Streams
  readonly inherited: Inherited & { readonly monitor: Fd }
  readonly timeoutMs: number
  readonly beforeMount: BeforeMount | undefined
}

async function startHeld(start: HeldStart): Promise<Pick<Started, 'ended'>> {
  const { program, definition, streams, timeoutMs, beforeMount } = start
  const { monitor, lock } = start.inherited
  const { name } = definition
  const launch = prepareStart(definition, 'incoming', beforeMount?.mappings)
  const words = { ...launch, argv: [program, ...launch.argv] }
  const state = beforeMount === undefined ? [] : [beforeMount.state]
  const stdio = [...streams, monitor, lock, 'pipe' as const, ...state]
  const child = spawnQemu(definition, words, stdio, { detached: true })
  child.unref()
  const ended = endOfChild(child)
  const socket = (child.stdio as readonly unknown[])[SOCKET] as Duplex
  try {
    putOnRecord(child, definition, streams)
    // The guest's user owns the child, and may have stopped it.
    const refused = await within(executeHeld(socket), timeoutMs)
    if (refused === LATE)
      throw new QemuError(`VM ${name}: no QEMU was started within ${formatTimeout(timeoutMs)}`)
    if (refused !== undefined) throw new QemuError(`VM ${name}: ${launch.argv[0]} does not start: ${refused}`)
    return { ended }
  } catch (error) {
    socket.destroy()
    killChild(child)
    throw error
  }
}

/** Gives it its cgroup and its limits, too. */
function putOnRecord({ pid = 0 }: ChildProcess, definition: VmDefinition, [, , errors]: Streams): void {
  const { name, limits } = definition
  const qemu = identify(pid)
  if (qemu === undefined) throw new QemuError(`VM ${name}: no process could be started`)
  // Where its cgroup is gone, it stays in that of this command.
  if (definition.cgroup !== null) joinCgroup(pid, definition.cgroup)
  if (limits !== undefined) setProcessLimits(pid, limits)
  recordStart(definition, qemu, errors, cgroupOf(pid))
}
