/**
 * The updating command's part: a successor, which the command starts beside the QEMU that has the guest, and
 * which waits for the guest's state. As long as `takeOver` has not replaced the runtime record, the command
 * ends it by `end`; where the command is killed, the watcher of all guests ends it, or the next command does.
 *
 * Why no guest is ended or runs twice: the QEMU that the runtime record names as `qemu` has the guest, and
 * the command, which holds the VM's update lock, gives it to the successor by one atomic replacement of that
 * record. The successor's process records itself before it executes QEMU, and never writes there again.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { linkQmp, readRuntime, vmPaths, writeRuntime } from '../../run/vm-runtime.ts'
import { errorText, QemuError } from '../../values/errors.ts'
import { errorOutputSince, markErrorOutput } from '../error-output.ts'
import { QmpClient } from '../qmp-client.ts'
import { socketOf } from '../start/become-successor.ts'
import type { GuestUnit } from '../start/guest-unit.ts'
import { startBeside } from '../start/start-beside.ts'
import type { Started } from '../start/start-process.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { greetedBefore } from '../wait-for-qmp.ts'
import { watchUpdate } from '../watch/watcher-client.ts'
import { endLeftOver } from './left-over.ts'

/** The guest is stopped meanwhile. */
const QUIT_TIMEOUT_MS = 500

export class WaitingSuccessor {
  readonly #name: string
  readonly #endWatch: () => void
  readonly qemu: ProcessIdentity
  readonly qmp: QmpClient
  #hasTakenOver = false

  private constructor(name: string, qemu: ProcessIdentity, qmp: QmpClient, endWatch: () => void) {
    this.#name = name
    this.qemu = qemu
    this.qmp = qmp
    this.#endWatch = endWatch
  }

  /**
   * A QEMU by `definition`, which answers QMP and waits for the guest of `former`. `unit`: of which that one
   * is the main process. Errors (QemuError): it does not start, in its own words.
   */
  static async start(
    definition: VmDefinition,
    former: ProcessIdentity,
    unit: GuestUnit | undefined,
    timeoutMs: number,
  ): Promise<WaitingSuccessor> {
    const { name } = definition
    const mark = markErrorOutput(name)
    const endWatch = await watchUpdate(name)
    const underInit = unit !== undefined
    try {
      const started = await startBeside({ how: 'successor', definition, former, underInit, timeoutMs })
      const qmp = await connectTo(name, started, timeoutMs)
      return new WaitingSuccessor(name, started.process, qmp, endWatch)
    } catch (error) {
      await endLeftOver(name)
      endWatch()
      const reason = errorOutputSince(mark) || errorText(error)
      throw new QemuError(`its next QEMU does not start, so the guest was not stopped: ${reason}`, {
        cause: error,
      })
    }
  }

  get hasTakenOver(): boolean {
    return this.#hasTakenOver
  }

  /** Errors (QemuError): it has ended. */
  checkAlive(): void {
    if (!isAlive(this.qemu)) throw new QemuError('its next QEMU has ended')
  }

  /**
   * The guest is the successor's from here on: one atomic replacement of the runtime record. Errors
   * (QemuError; Node's, a full /run): it is not.
   */
  takeOver(): void {
    this.checkAlive()
    const runtime = readRuntime(this.#name)
    if (runtime === undefined) throw new QemuError('its runtime record is gone')
    const { successor: _, qemu: former, ...rest } = runtime
    writeRuntime(this.#name, {
      ...rest,
      qemu: this.qemu,
      ...(former === null ? {} : { predecessor: former }),
      socket: socketOf(this.qemu),
    })
    // Nothing throws after it: the caller would go back to a QEMU that no longer has the guest.
    this.#hasTakenOver = true
    linkQmp(this.#name)
    if (rest.socket !== undefined) removeQuietly(join(vmPaths(this.#name).directory, rest.socket))
  }

  /** Ends a successor that has not taken over, and waits for its end: it may have the guest's images open. */
  async end(): Promise<void> {
    await this.qmp.execute('quit', {}, QUIT_TIMEOUT_MS).catch(() => {})
    this.qmp.close()
    await endLeftOver(this.#name)
    removeQuietly(join(vmPaths(this.#name).directory, socketOf(this.qemu)))
    this.#endWatch()
  }

  /** After `takeOver`, and the end of the former QEMU. */
  async close(): Promise<void> {
    this.qmp.close()
    await endLeftOver(this.#name).catch(() => {}) // it is stopped, and the next command ends it
    this.#endWatch()
  }
}

/** Errors (QemuError): it ends before it answers, or does not answer. */
async function connectTo(name: string, { process, ended }: Started, timeoutMs: number): Promise<QmpClient> {
  const over = ended.then((words) => {
    throw new QemuError(`QEMU ${words}`)
  })
  const greeting = QmpClient.connect(join(vmPaths(name).directory, socketOf(process)), timeoutMs)
  over.catch(() => {}) // it also rejects once the successor has the guest, and ends
  return await greetedBefore(greeting, over)
}

/** A socket that stays on a read-only /run is used by no process. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The next QEMU of the guest has another name.
  }
}
