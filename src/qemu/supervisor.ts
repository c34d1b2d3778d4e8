/**
 * Owns a VM's QEMU process: starting it, waiting for it, starting its successor during a live update, and
 * deciding what its end means. It connects to QEMU once, to read the machine right after power-on, and never
 * changes a guest: the command that updates the VM does, holding the VM's update lock.
 *
 * One supervisor starts all of a guest's QEMUs. So they have the same terminal, standard streams, cgroup and
 * QMP socket, and `guestmemfs run` ends when the guest does and not when its first QEMU does.
 */
import { once } from 'node:events'
import { writeFileSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../linux/descriptors.ts'
import { killChild } from '../linux/process.ts'
import { listenUnix } from '../linux/unix-listener.ts'
import { identify, identifySelf } from '../run/process-identity.ts'
import { makeVmDirectory, removeRuntime, tryLock, type VmPaths, writeRuntime } from '../run/vm-runtime.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { forwardSignals } from './forward-signals.ts'
import { runHook } from './hooks.ts'
import { readAtStart } from './machine/kept-reading.ts'
import { spawnQemu } from './spawn-qemu.ts'
import { prepareStart } from './start-arguments.ts'
import { ramFileOf, readDefinition, removeDefinition, type VmDefinition } from './vm-definition.ts'

/** Standard input, output and error of QEMU: descriptors of this process. */
export type Streams = readonly [number, number, number]

/** How a guest's last QEMU ended. */
export interface GuestEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** As a shell has it: 128 + signal. */
export function exitStatus({ code, signal }: GuestEnd): number {
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal]
}

/** How often a supervisor looks for the next definition while an update is under way. */
const UPDATE_POLL_MS = 10

/**
 * Runs the VM recorded on `ramFile` until its guest has ended: from its saved state if there is one, else
 * from power-on. Errors (UsageError): no VM is recorded there, it runs already, its program does not start.
 */
export async function superviseVm(ramFile: string, streams: Streams): Promise<GuestEnd> {
  const definition = recorded(ramFile)
  const paths = makeVmDirectory(definition.name)
  const lock = tryLock(paths.supervisorLock)
  if (lock === undefined) throw new UsageError(`VM ${definition.name} runs already`)
  const monitor = listenUnix(paths.qmp)
  try {
    return await new Supervisor(definition, streams, monitor, paths).run()
  } finally {
    removeRuntime(definition.name)
    close(monitor)
    close(lock)
  }
}

class Supervisor {
  readonly #name: string
  readonly #ramFile: string
  readonly #streams: Streams
  readonly #monitor: Fd
  readonly #paths: VmPaths
  #definition: VmDefinition
  #starts = 0

  constructor(definition: VmDefinition, streams: Streams, monitor: Fd, paths: VmPaths) {
    this.#definition = definition
    this.#name = definition.name
    this.#ramFile = ramFileOf(definition)
    this.#streams = streams
    this.#monitor = monitor
    this.#paths = paths
  }

  async run(): Promise<GuestEnd> {
    for (;;) {
      const end = await this.#runQemu()
      const next = await this.#nextOfUpdate()
      if (next === undefined) {
        this.#settle(end)
        return end
      }
      this.#definition = next
    }
  }

  async #runQemu(): Promise<GuestEnd> {
    for (const command of this.#definition.before ?? []) {
      const failed = await runHook(this.#definition, command, this.#streams)
      if (failed === undefined) continue
      // `waitForQmp` waits for a start: it must see one, and its end.
      this.#starts++
      this.#tell(undefined, `was not started, since --before ${failed}, so it ended`)
      writeSync(this.#streams[2], `guestmemfs: VM ${this.#name}: --before ${failed}\n`)
      return { code: 1, signal: null }
    }
    const end = await this.#runStarted()
    for (const command of this.#definition.after ?? []) {
      const failed = await runHook(this.#definition, command, this.#streams)
      if (failed !== undefined)
        writeSync(this.#streams[2], `guestmemfs: VM ${this.#name}: --after ${failed}\n`)
    }
    return end
  }

  async #runStarted(): Promise<GuestEnd> {
    const { cgroup } = this.#definition
    const launch = prepareStart(this.#definition)
    const [program] = launch.argv
    const child = spawnQemu(this.#definition, launch, [...this.#streams, this.#monitor])
    // Rejects on 'error': the program could not be started.
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    const stopForwarding = forwardSignals((signal) => killChild(child, signal))
    if (child.pid !== undefined) {
      joinCgroup(child.pid, cgroup)
      this.#starts++
      this.#tell(child.pid, null)
      // The process that loads a saved guest reads the machine of its QEMU.
      const qemu = identify(child.pid)
      if (qemu !== undefined && this.#definition.saved === null) void readAtStart(this.#name, qemu)
    }
    try {
      const [code, signal] = await ended
      this.#tell(undefined, signal === null ? `ended with status ${code}` : `was killed by ${signal}`)
      return { code, signal }
    } catch (cause) {
      throw new UsageError(`VM ${this.#name}: ${program} does not start: ${(cause as Error).message}`, {
        cause,
      })
    } finally {
      stopForwarding()
    }
  }

  /**
   * The definition to start next, when QEMU ended as part of a live update: one that has a saved guest and
   * differs from the one just started (the same again would fail the same way). Undefined: the guest's end is
   * the VM's end.
   */
  async #nextOfUpdate(): Promise<VmDefinition | undefined> {
    const before = JSON.stringify(this.#definition)
    for (;;) {
      const lock = tryLock(this.#paths.updateLock)
      if (lock !== undefined) {
        close(lock)
        return undefined
      }
      const now = readDefinition(this.#ramFile)
      if (now?.saved != null && JSON.stringify(now) !== before) return now
      await sleep(UPDATE_POLL_MS)
    }
  }

  /** Removes the record of a guest that ended by itself. One that was killed, or is saved, keeps it. */
  #settle({ signal }: GuestEnd): void {
    const now = readDefinition(this.#ramFile)
    if (signal === null && now?.name === this.#name && now.saved === null) removeDefinition(this.#ramFile)
  }

  #tell(qemu: number | undefined, end: string | null): void {
    writeRuntime(this.#name, {
      ramFile: this.#ramFile,
      supervisor: identifySelf(),
      starts: this.#starts,
      qemu: qemu === undefined ? null : (identify(qemu) ?? null),
      end,
    })
  }
}

function recorded(ramFile: string): VmDefinition {
  const definition = readDefinition(ramFile)
  if (definition === undefined) throw new UsageError(`no VM is recorded on ${ramFile}`)
  return definition
}

/**
 * Moves QEMU to the VM's own cgroup, if it still exists: after a reboot or from another session it may not.
 */
function joinCgroup(pid: number, cgroup: string | null): void {
  if (cgroup === null) return
  try {
    writeFileSync(`/sys/fs/cgroup${cgroup}/cgroup.procs`, String(pid))
  } catch {
    // QEMU then stays in the supervisor's cgroup, that of the command which resumed it.
  }
}
