/**
 * The replacement of a QEMU that must end before the next one of its guest can be started: save the guest,
 * load it into a new QEMU, or into one of the old binary when the new one fails to load it.
 */
import { close } from '../../linux/descriptors.ts'
import { pidfdGetFd, pidfdOpen } from '../../linux/process.ts'
import { closeStreams, logStreams, superviseInBackground } from '../../qemu/background.ts'
import { isInDevmem } from '../../qemu/devmem-trust.ts'
import { endQemu } from '../../qemu/end-qemu.ts'
import { keepFormerBinary } from '../../qemu/former-binary.ts'
import type { Streams } from '../../qemu/qemu-process.ts'
import type { QmpClient } from '../../qemu/qmp-client.ts'
import { saveAndQuit } from '../../qemu/save-and-quit.ts'
import { StartFromSavedError, type StartRequest, startFromSaved } from '../../qemu/start-from-saved.ts'
import { withBinary } from '../../qemu/vm-command-line.ts'
import { endUpdate, ramFileOf, type VmDefinition, writeDefinition } from '../../qemu/vm-definition.ts'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, type VmRuntime } from '../../run/vm-runtime.ts'
import { Errno } from '../../values/errno.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import type { VmTimeline } from '../report/timeline.ts'
import type { UpdateRun } from './update-run.ts'

/**
 * The caller holds the VM's update lock, and closes `qmp`, the old QEMU's. Rejects with the error of a failed
 * step, which has undone itself.
 */
export async function replaceQuitFirst(
  run: UpdateRun,
  qemu: ProcessIdentity,
  qmp: QmpClient,
): Promise<VmTimeline> {
  return await new QuitFirst(run).replace(qemu, qmp)
}

class QuitFirst {
  readonly #run: UpdateRun
  /** A copy of the old QEMU's program, where its path names another one. */
  #formerBinary: string | undefined

  constructor(run: UpdateRun) {
    this.#run = run
  }

  async replace(qemu: ProcessIdentity, qmp: QmpClient): Promise<VmTimeline> {
    const { nextQemu, timeoutMs, tried } = this.#run.request
    const { name, argv } = this.#run.before
    const runtime = readRuntime(name)
    const orphanStreams = runtime && isAlive(runtime.supervisor) ? undefined : streamsOf(qemu)
    // With a window of /dev/mem the supervisor starts QEMU as root: it takes only the program that
    // `run --trust-devmem` recorded.
    const isWindow = isInDevmem(this.#run.before)
    if (nextQemu === undefined && !isWindow)
      this.#formerBinary = keepFormerBinary(name, qemu.pid, argv[0] as string)
    const saved = await saveAndQuit({
      definition: this.#run.before,
      qmp,
      qemu,
      tried,
      nextQemu,
      timeoutMs,
      onStep: this.#run.onStep,
    })
    this.#run.stateBytes = saved.saved?.sizeBytes ?? 0
    return await this.#startNext(saved, orphanStreams, runtime)
  }

  /** From here on the old QEMU is gone. */
  async #startNext(
    saved: VmDefinition,
    orphanStreams: Streams | undefined,
    before: VmRuntime | undefined,
  ): Promise<VmTimeline> {
    const { name } = this.#run.before
    const argv = [...this.#run.line]
    const start = this.#startOf(saved, orphanStreams, before)
    try {
      this.#run.after = await startFromSaved(start)
      return this.#run.updated()
    } catch (error) {
      if (error instanceof StartFromSavedError && error.isLoaded) {
        return this.#run.result('stranded', `${errorText(error)}: try 'guestmemfs resume ${name}'`)
      }
      const problem = `${errorText(error)}; RAM and state file ${saved.statePath} are kept`
      await endQemu(this.#run.before.name, ramFileOf(this.#run.before))
      if (this.#formerBinary !== undefined) {
        return await this.#rollBack({ ...saved, argv: withBinary(argv, this.#formerBinary) }, problem)
      }
      if (saved.argv[0] === argv[0])
        return this.#run.result('saved', `${problem}: go on with 'guestmemfs resume ${name}'`)
      return await this.#rollBack({ ...saved, argv }, problem)
    }
  }

  async #rollBack(saved: VmDefinition, problem: string): Promise<VmTimeline> {
    const { name } = this.#run.before
    const runtime = readRuntime(name)
    const isSupervised = runtime !== undefined && isAlive(runtime.supervisor)
    try {
      // The supervisor starts each definition once, and starts QEMU again when it reads a changed one.
      writeDefinition(saved)
      const streams = isSupervised ? undefined : logStreams(name)
      this.#run.after = await startFromSaved(this.#startOf(saved, streams, runtime))
      // The copy is removed after the update: the record keeps the path that the person gave.
      const argv = [...this.#run.line]
      this.#run.after = endUpdate({ ...this.#run.after, argv })
      const program = this.#formerBinary === undefined ? argv[0] : `the program that ${argv[0]} was before`
      return this.#run.result('rolled-back', `${problem}; it runs in ${program} again`)
    } catch (error) {
      // The guest is in that QEMU alone: its state file is removed.
      if (error instanceof StartFromSavedError && error.isLoaded)
        return this.#run.result(
          'stranded',
          `${problem}; ${errorText(error)}: try 'guestmemfs resume ${name}'`,
        )
      await endQemu(this.#run.before.name, ramFileOf(this.#run.before))
      if (this.#formerBinary !== undefined) writeDefinition({ ...saved, argv: [...this.#run.line] })
      const again = `and ${saved.argv[0]} does not load it either: ${errorText(error)}`
      return this.#run.result('saved', `${problem}, ${again}: go on with 'guestmemfs resume ${name}'`)
    }
  }

  /** `streams`: for a new supervisor; undefined: the present one goes on. */
  #startOf(
    definition: VmDefinition,
    streams: Streams | undefined,
    before: VmRuntime | undefined,
  ): StartRequest {
    const start = {
      definition,
      before,
      timeoutMs: this.#run.request.timeoutMs,
      onStep: this.#run.onStep,
      onUnset: this.#run.onUnset,
    }
    if (streams === undefined) return start
    const supervisorExited = superviseInBackground(ramFileOf(definition), streams)
    closeStreams(streams)
    return { ...start, supervisorExited }
  }
}

/** Copies of a QEMU's standard streams for the next one, where its supervisor has ended. */
function streamsOf({ pid }: ProcessIdentity): Streams {
  const pidfd = pidfdOpen(pid)
  if (pidfd instanceof Errno) throw new UsageError(`QEMU (process ${pid}) has ended`)
  const copies: Fd[] = []
  try {
    for (const number of [0, 1, 2]) {
      const fd = pidfdGetFd(pidfd, number)
      if (fd instanceof Errno) throw new UsageError(`QEMU (process ${pid}) has no standard streams: ${fd}`)
      copies.push(fd)
    }
    return copies as unknown as Streams
  } catch (error) {
    for (const fd of copies) close(fd)
    throw error
  } finally {
    close(pidfd)
  }
}
