/**
 * The replacement of one VM's QEMU while its memory stays: save the guest, load it into a new QEMU, or into
 * one of the old binary when the new one fails to load it. The memory is kept whatever fails, and the result
 * says what to do next.
 */
import { close } from '../../linux/descriptors.ts'
import { pidfdGetFd, pidfdOpen } from '../../linux/process.ts'
import { closeStreams, logStreams, superviseInBackground } from '../../qemu/background.ts'
import { isInDevmem } from '../../qemu/devmem-trust.ts'
import { endQemu } from '../../qemu/end-qemu.ts'
import { forgetFormerBinary, keepFormerBinary } from '../../qemu/former-binary.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { GuestStoppedError } from '../../qemu/save.ts'
import { saveAndQuit } from '../../qemu/save-and-quit.ts'
import { StartFromSavedError, type StartRequest, startFromSaved } from '../../qemu/start-from-saved.ts'
import type { Streams } from '../../qemu/supervisor.ts'
import { withBinary } from '../../qemu/vm-command-line.ts'
import { endUpdate, ramFileOf, type VmDefinition, writeDefinition } from '../../qemu/vm-definition.ts'
import { readVms } from '../../qemu/vm-list.ts'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, tryLock, type VmRuntime, vmPaths } from '../../run/vm-runtime.ts'
import { Errno } from '../../values/errno.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { type Phase, PhaseClock, type VmTimeline } from '../report/timeline.ts'
import { type VmRequest, vmTimeline } from './vm-result.ts'

/** Never rejects: what goes wrong is in the result. */
export async function replaceQemu(request: VmRequest): Promise<VmTimeline> {
  const { definition } = request.vm
  const lock = tryLock(vmPaths(definition.name).updateLock)
  if (lock === undefined)
    return new ReplaceRun(request).result('rolled-back', 'another update of it is under way')
  try {
    // Another update may have changed the record since this one was planned.
    const [vm] = readVms([ramFileOf(definition)]).vms
    const run = new ReplaceRun({ ...request, vm: vm ?? request.vm })
    return await run.run().catch((error: unknown) => run.failed(error))
  } finally {
    forgetFormerBinary(definition.name)
    close(lock)
  }
}

class ReplaceRun {
  readonly #request: VmRequest
  readonly #before: VmDefinition
  /** Of the next QEMU, with the recorded program. */
  readonly #line: readonly string[]
  readonly #clock: PhaseClock
  #after: VmDefinition | undefined
  #stateBytes = 0
  /** Settings that the guest runs without; null: none. */
  #unset: string | null = null
  /** A copy of the old QEMU's program, where its path names another one. */
  #formerBinary: string | undefined

  constructor(request: VmRequest) {
    this.#request = request
    this.#before = request.vm.definition
    this.#line = request.tried?.argv ?? this.#before.argv
    this.#clock = new PhaseClock(request.originMs)
  }

  async run(): Promise<VmTimeline> {
    const { nextQemu, timeoutMs, vm } = this.#request
    const { name, argv } = this.#before
    const qemu = vm.qemu
    if (qemu === undefined) throw new UsageError(`it is ${vm.state} now`)
    const runtime = readRuntime(name)
    const orphanStreams = runtime && isAlive(runtime.supervisor) ? undefined : streamsOf(qemu)
    // With a window of /dev/mem the supervisor starts QEMU as root: it takes only the program that `run` was
    // told to trust.
    const isWindow = isInDevmem(this.#before)
    if (nextQemu === undefined && !isWindow)
      this.#formerBinary = keepFormerBinary(name, qemu.pid, argv[0] as string)
    const qmp = await QmpClient.connect(vmPaths(name).qmp, timeoutMs)
    let saved: VmDefinition
    try {
      saved = await saveAndQuit({
        definition: this.#before,
        qmp,
        qemu,
        tried: this.#request.tried,
        nextQemu,
        timeoutMs,
        onStep: (step, atMs) => this.#stepDone(step, atMs),
      })
    } finally {
      qmp.close()
    }
    this.#stateBytes = saved.saved?.sizeBytes ?? 0
    return await this.#startNext(saved, orphanStreams, runtime)
  }

  /** From here on the old QEMU is gone. */
  async #startNext(
    saved: VmDefinition,
    orphanStreams: Streams | undefined,
    before: VmRuntime | undefined,
  ): Promise<VmTimeline> {
    const { name } = this.#before
    const argv = [...this.#line]
    const start = this.#startOf(saved, orphanStreams, before)
    try {
      this.#after = await startFromSaved(start)
      return this.result('updated', this.#unset)
    } catch (error) {
      if (error instanceof StartFromSavedError && error.isLoaded) {
        return this.result('stranded', `${errorText(error)}: try 'guestmemfs resume ${name}'`)
      }
      const problem = `${errorText(error)}; RAM and state file ${saved.statePath} are kept`
      await endQemu(this.#before.name)
      if (this.#formerBinary !== undefined) {
        return await this.#rollBack({ ...saved, argv: withBinary(argv, this.#formerBinary) }, problem)
      }
      if (saved.argv[0] === argv[0])
        return this.result('saved', `${problem}: go on with 'guestmemfs resume ${name}'`)
      return await this.#rollBack({ ...saved, argv }, problem)
    }
  }

  async #rollBack(saved: VmDefinition, problem: string): Promise<VmTimeline> {
    const { name } = this.#before
    const runtime = readRuntime(name)
    const isSupervised = runtime !== undefined && isAlive(runtime.supervisor)
    try {
      // The supervisor starts each definition once, and starts QEMU again when it reads a changed one.
      writeDefinition(saved)
      const streams = isSupervised ? undefined : logStreams(name)
      this.#after = await startFromSaved(this.#startOf(saved, streams, runtime))
      // The copy is removed after the update: the record keeps the path that the person gave.
      const argv = [...this.#line]
      this.#after = endUpdate({ ...this.#after, argv })
      const program = this.#formerBinary === undefined ? argv[0] : `the program that ${argv[0]} was before`
      return this.result('rolled-back', `${problem}; it runs in ${program} again`)
    } catch (error) {
      // The guest is in that QEMU alone: its state file is removed.
      if (error instanceof StartFromSavedError && error.isLoaded)
        return this.result('stranded', `${problem}; ${errorText(error)}: try 'guestmemfs resume ${name}'`)
      await endQemu(this.#before.name)
      if (this.#formerBinary !== undefined) writeDefinition({ ...saved, argv: [...this.#line] })
      const again = `and ${saved.argv[0]} does not load it either: ${errorText(error)}`
      return this.result('saved', `${problem}, ${again}: go on with 'guestmemfs resume ${name}'`)
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
      timeoutMs: this.#request.timeoutMs,
      onStep: (step: Phase, atMs?: number) => this.#stepDone(step, atMs),
      onUnset: (lines: readonly string[]) => {
        this.#unset = lines.join('; ')
      },
    }
    if (streams === undefined) return start
    const supervisorExited = superviseInBackground(ramFileOf(definition), streams)
    closeStreams(streams)
    return { ...start, supervisorExited }
  }

  #stepDone(step: Phase | 'stop', atMs?: number): void {
    if (step === 'stop') {
      this.#clock.stopped(atMs as number)
      return
    }
    this.#clock.ended(step, atMs)
    this.#request.onPhase(step)
  }

  /** Called when a step before the end of the old QEMU failed: each has undone itself. */
  failed(error: unknown): VmTimeline {
    if (!(error instanceof GuestStoppedError)) return this.result('rolled-back', errorText(error))
    return this.result('stranded', `${errorText(error)}: try 'guestmemfs resume ${this.#before.name}'`)
  }

  result(outcome: VmTimeline['outcome'], problem: string | null): VmTimeline {
    const result = {
      before: this.#before,
      after: this.#after,
      qemuBefore: this.#before.qemuVersion,
      stateBytes: this.#stateBytes,
      clock: this.#clock,
    }
    return vmTimeline(result, outcome, problem)
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
