/**
 * The start of a VM's QEMU in this process: the command that the operator typed, or one that another command
 * started for it (`start-main.ts`).
 *
 * Why a guest has one QEMU at most, and none that no command finds: this process takes the VM's lock first,
 * and QEMU inherits it. It writes the runtime record with its own identity before it executes QEMU, which
 * keeps pid and start time. Where /run takes no record, no QEMU is started.
 */
import { writeSync } from 'node:fs'
import { cgroupOf, joinCgroup } from '../../linux/cgroup.ts'
import { close } from '../../linux/descriptors.ts'
import { listenConnected, listenUnix } from '../../linux/unix-listener.ts'
import { identifySelf } from '../../run/process-identity.ts'
import {
  makeVmDirectory,
  readRuntime,
  removeRuntime,
  tryLock,
  vmPaths,
  writeRuntime,
} from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { forwardSignals } from '../forward-signals.ts'
import { runHook } from '../hooks.ts'
import { endRecord } from '../ram-claims.ts'
import { endLeftOver } from '../successor/left-over.ts'
import { ramFileOf, readDefinition, type VmDefinition } from '../vm-definition.ts'
import { watchRunning, watchStart } from '../watch/watcher-client.ts'
import { executeQemu, recordStart } from './execute-qemu.ts'
import { prepareStart } from './start-arguments.ts'

/**
 * Runs the VM recorded on `ramFile` in this process: from its saved state if there is one, else from
 * power-on. `followsAnother`: its former QEMU has ended in an update, and the commands after that are to be
 * run first. Returns the exit status where a command before QEMU failed: the guest stays saved, or is not on
 * record any more. Errors (UsageError): no VM is recorded there, it runs already, QEMU does not start.
 */
export async function becomeQemu(ramFile: string, followsAnother = false): Promise<number> {
  const definition = recordedOn(ramFile)
  const { name } = definition
  const lock = tryLock(makeVmDirectory(name).lock)
  if (lock === undefined) throw new UsageError(`VM ${name} runs already`)
  await endLeftOver(name)
  // Where the recorded cgroup is gone, this process stays in that of the command which started it.
  if (definition.cgroup !== null) joinCgroup(process.pid, definition.cgroup)
  return await becomeWith(lock, definition, followsAnother)
}

export function recordedOn(ramFile: string): VmDefinition {
  const definition = readDefinition(ramFile)
  if (definition === undefined) throw new UsageError(`no VM is recorded on ${ramFile}`)
  return definition
}

/** As `becomeQemu`, with the VM's lock, and in its cgroup. */
export async function becomeWith(
  lock: Fd,
  definition: VmDefinition,
  followsAnother: boolean,
): Promise<number> {
  const { name } = definition
  const ramFile = ramFileOf(definition)
  const isFirst = definition.saved === null
  let failed = await runHooks(definition, followsAnother)
  const { listener: monitor, first } = listenFor(definition)
  failed ??= await unlessSignalled(() => watchStart({ name, definition, first }))
  if (failed !== undefined) {
    writeSync(2, `guestmemfs: VM ${name}: ${failed}\n`)
    if (definition.saved === null) {
      endRecord(definition)
      removeRuntime(name)
    } else writeRuntime(name, { ramFile, qemu: null, end: `was not started, since ${failed}, so it ended` })
    close(lock)
    return 1
  }
  const launch = prepareStart(definition, isFirst ? 'power-on' : 'incoming')
  // The operator may have moved the former QEMU to another cgroup: the next one goes there, too.
  const cgroup = (followsAnother ? readRuntime(name)?.cgroup : undefined) ?? cgroupOf('self')
  recordStart(definition, identifySelf(), 2, cgroup)
  // `watchStart` has told the watcher of a QEMU, by its first connection. Another VMM has none, so this
  // process tells it now, after the record.
  if (definition.vmm !== undefined && isFirst) await watchRunning(definition)
  executeQemu(definition, launch, { monitor, lock })
}

/** The socket of its QMP. Another VMM has none. */
function listenFor({ name, saved, vmm }: VmDefinition): { listener?: Fd; first?: Fd } {
  const path = vmPaths(name).qmp
  if (vmm !== undefined) return {}
  // The watcher reads the machine before a process that connects by the path can change it.
  return saved === null ? listenConnected(path) : { listener: listenUnix(path) }
}

/** A signal to this process, which is to be QEMU, keeps QEMU from being started. */
async function unlessSignalled(work: () => Promise<void>): Promise<string | undefined> {
  let signalled: NodeJS.Signals | undefined
  const stop = forwardSignals((signal) => {
    signalled = signal
  })
  await work().finally(stop)
  return signalled === undefined ? undefined : `it got ${signalled}`
}

/** undefined: none of the commands before QEMU failed. */
async function runHooks(definition: VmDefinition, followsAnother: boolean): Promise<string | undefined> {
  const { name, before = [], after = [] } = definition
  for (const command of followsAnother ? after : []) {
    const failed = await runHook(definition, command, [0, 1, 2])
    if (failed !== undefined) writeSync(2, `guestmemfs: VM ${name}: --after ${failed}\n`)
  }
  for (const command of before) {
    const failed = await runHook(definition, command, [0, 1, 2])
    if (failed !== undefined) return `--before ${failed}`
  }
  return undefined
}
