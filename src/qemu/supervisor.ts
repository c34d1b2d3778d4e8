/**
 * Owns a VM's QEMU process: starting it, waiting for it, starting its successor during a live update, and
 * deciding what its end means. It connects to QEMU once, to read the machine right after power-on, and never
 * changes a guest: the command that updates the VM does, holding the VM's update lock.
 *
 * One supervisor starts all of a guest's QEMUs. So they have the same terminal, standard streams, cgroup and
 * QMP socket, and `guestmemfs run` ends when the guest does and not when its first QEMU does.
 */
import { rmSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../linux/descriptors.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { killChild } from '../linux/process.ts'
import { listenUnix } from '../linux/unix-listener.ts'
import { identifySelf, type ProcessIdentity } from '../run/process-identity.ts'
import {
  makeVmDirectory,
  pointQmp,
  removeRuntime,
  tryLock,
  type VmPaths,
  writeRuntime,
} from '../run/vm-runtime.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { forwardSignals } from './forward-signals.ts'
import { runHook } from './hooks.ts'
import { readAtStart } from './machine/kept-reading.ts'
import { endWords, type GuestEnd, type QemuProcess, type Streams, startQemu } from './qemu-process.ts'
import { endRecord } from './ram-claims.ts'
import { prepareStart } from './start-arguments.ts'
import { endLeftOver } from './successor/left-over.ts'
import { Succession, type Waiting } from './successor/succession.ts'
import { ramFileOf, readDefinition, type VmDefinition } from './vm-definition.ts'

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
  await endLeftOver(definition.name)
  const supervisor = new Supervisor(definition, streams, paths)
  try {
    return await supervisor.run()
  } finally {
    await supervisor.close()
    removeRuntime(definition.name)
    close(lock)
  }
}

class Supervisor {
  readonly #name: string
  readonly #ramFile: string
  readonly #streams: Streams
  readonly #paths: VmPaths
  readonly #succession: Succession
  #definition: VmDefinition
  /** The listening socket of QMP of the QEMU that has the guest. */
  #monitor: Fd
  /** Its name in the VM's directory; undefined: `qmp`. */
  #socket: string | undefined
  /** That which has the guest. */
  #qemu: QemuProcess | undefined
  #starts = 0
  /** The last one that was forwarded since a successor was started. */
  #signal: NodeJS.Signals | undefined

  constructor(definition: VmDefinition, streams: Streams, paths: VmPaths) {
    this.#definition = definition
    this.#name = definition.name
    this.#ramFile = ramFileOf(definition)
    this.#streams = streams
    this.#paths = paths
    this.#monitor = listenUnix(paths.qmp)
    this.#succession = new Succession(this.#name, {
      start: (next, monitor) => {
        this.#signal = undefined
        return startQemu(next, prepareStart(next, 'incoming'), streams, monitor)
      },
      record: (successor) => this.#tell(null, successor),
      own: (successor) => this.#own(successor),
    })
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
      this.#tell(`was not started, since --before ${failed}, so it ended`)
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

  /** Until the end of a QEMU that has the guest and leaves it to no other. */
  async #runStarted(): Promise<GuestEnd> {
    const definition = this.#definition
    const launch = prepareStart(definition, definition.saved === null ? 'power-on' : 'incoming')
    let qemu = startQemu(definition, launch, this.#streams, this.#monitor)
    this.#qemu = qemu
    const stopForwarding = forwardSignals((signal) => {
      this.#signal = signal
      if (this.#qemu !== undefined) killChild(this.#qemu.child, signal)
    })
    if (qemu.child.pid !== undefined) {
      this.#starts++
      this.#tell(null)
      // The process that loads a saved guest reads the machine of its QEMU.
      if (definition.saved === null && qemu.identity !== undefined)
        void readAtStart(this.#name, qemu.identity)
    }
    try {
      for (;;) {
        const end = await qemu.ended
        // Its successor may be about to get the guest: the updating command has the saved state.
        await this.#succession.settled()
        if (this.#qemu === qemu) {
          this.#qemu = undefined
          this.#tell(endWords(end))
          return end
        }
        qemu = this.#qemu as QemuProcess
      }
    } finally {
      stopForwarding()
    }
  }

  #own({ qemu, monitor, socket }: Waiting): QemuProcess {
    const former = this.#qemu as QemuProcess
    this.#qemu = qemu
    close(this.#monitor)
    const formerSocket = this.#socket
    this.#monitor = monitor
    this.#socket = socket
    this.#starts++
    // `qmp` itself is the first one's, or the symlink.
    if (formerSocket !== undefined) removeQuietly(join(this.#paths.directory, formerSocket))
    pointQmp(this.#name)
    // The guest was told to end, and its former QEMU stood still.
    if (this.#signal !== undefined) killChild(qemu.child, this.#signal)
    return former
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
    if (signal === null && now?.name === this.#name && now.saved === null) endRecord(now)
  }

  /** `end`: how the last QEMU ended, in words; null: it runs. */
  #tell(end: string | null, successor?: ProcessIdentity): void {
    writeRuntime(this.#name, {
      ramFile: this.#ramFile,
      supervisor: identifySelf(),
      starts: this.#starts,
      qemu: this.#qemu?.identity ?? null,
      end,
      ...(successor === undefined ? {} : { successor }),
      ...(this.#socket === undefined ? {} : { socket: this.#socket }),
    })
  }

  async close(): Promise<void> {
    await this.#succession.close()
    close(this.#monitor)
  }
}

function recorded(ramFile: string): VmDefinition {
  const definition = readDefinition(ramFile)
  if (definition === undefined) throw new UsageError(`no VM is recorded on ${ramFile}`)
  return definition
}

/** A socket that stays on a read-only /run is nobody's. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch (error) {
    errnoOfNodeError(error)
  }
}
