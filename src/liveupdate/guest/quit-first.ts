/**
 * The replacement of a QEMU that must end before the next one of its guest can be started: save the guest,
 * load it into the next QEMU, or into one of the old binary when the next one fails to load it.
 */
import { close } from '../../linux/descriptors.ts'
import { openNamespaces } from '../../linux/setns.ts'
import { isInDevmem } from '../../qemu/devmem-trust.ts'
import { endQemu } from '../../qemu/end-qemu.ts'
import { markAgain, markErrorOutput, type OutputMark } from '../../qemu/error-output.ts'
import { keepFormerBinary } from '../../qemu/former-binary.ts'
import { GuestLoadError, type LoadRequest, loadAndContinue } from '../../qemu/load-and-continue.ts'
import type { QmpClient } from '../../qemu/qmp-client.ts'
import { saveAndQuit } from '../../qemu/save-and-quit.ts'
import { closeStreams, type Started, type StartPlace, startQemu } from '../../qemu/start/start-process.ts'
import { withBinary } from '../../qemu/vm-command-line.ts'
import { endUpdate, ramFileOf, type VmDefinition, writeDefinition } from '../../qemu/vm-definition.ts'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, type VmRuntime } from '../../run/vm-runtime.ts'
import { errorText } from '../../values/errors.ts'
import type { VmTimeline } from '../report/timeline.ts'
import { endPlaceholder, startPlaceholder } from './placeholder.ts'
import { streamsOf } from './process-streams.ts'
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
  const replacement = new QuitFirst(run, qemu)
  try {
    return await replacement.replace(qemu, qmp)
  } finally {
    replacement.close()
  }
}

class QuitFirst {
  readonly #run: UpdateRun
  /** The old QEMU's streams and namespaces, for the next ones. */
  readonly #place: Required<StartPlace>
  /** Where the old QEMU's standard error ends. */
  readonly #mark: OutputMark | undefined
  /** A copy of the old QEMU's program, where its path names another one. */
  #formerBinary: string | undefined

  constructor(run: UpdateRun, { pid }: ProcessIdentity) {
    this.#run = run
    this.#place = { streams: streamsOf(pid), namespaces: openNamespaces(pid) }
    this.#mark = markErrorOutput(run.before.name)
  }

  close(): void {
    closeStreams(this.#place.streams)
    for (const fd of this.#place.namespaces) close(fd)
  }

  async replace(qemu: ProcessIdentity, qmp: QmpClient): Promise<VmTimeline> {
    const { nextQemu, timeoutMs, tried } = this.#run.request
    const { name, argv } = this.#run.before
    // With a window of /dev/mem QEMU is started as root: only the program that `run --trust-devmem` recorded.
    const isWindow = isInDevmem(this.#run.before)
    if (nextQemu === undefined && !isWindow)
      this.#formerBinary = keepFormerBinary(name, qemu.pid, argv[0] as string)
    const before = readRuntime(name)
    const { unit, before: definition } = this.#run
    // Before the guest is stopped.
    const placeholder = await startPlaceholder(unit, definition, qemu, timeoutMs)
    const saved = await saveAndQuit({
      definition: this.#run.before,
      qmp,
      qemu,
      tried,
      nextQemu,
      timeoutMs,
      onStep: this.#run.onStep,
    }).catch(async (error: unknown) => {
      await endPlaceholder(unit, definition, placeholder, qemu)
      throw error
    })
    this.#run.stateBytes = saved.saved?.sizeBytes ?? 0
    return await this.#startNext(saved, before, placeholder)
  }

  /** From here on the old QEMU is gone. */
  async #startNext(
    saved: VmDefinition,
    before: VmRuntime | undefined,
    placeholder: Started | undefined,
  ): Promise<VmTimeline> {
    const { name } = this.#run.before
    const argv = [...this.#run.line]
    try {
      return this.#run.updated(await loadAndContinue(this.#startOf(saved, before, placeholder)))
    } catch (error) {
      if (error instanceof GuestLoadError && error.isLoaded) {
        return this.#run.result('stranded', `${errorText(error)}: try 'guestmemfs resume --name ${name}'`)
      }
      const problem = `${errorText(error)}; RAM and state file ${saved.statePath} are kept`
      await endQemu(this.#run.before.name, ramFileOf(this.#run.before))
      if (this.#formerBinary !== undefined) {
        return await this.#rollBack({ ...saved, argv: withBinary(argv, this.#formerBinary) }, problem)
      }
      if (saved.argv[0] === argv[0])
        return this.#run.result('saved', `${problem}: go on with 'guestmemfs resume --name ${name}'`)
      return await this.#rollBack({ ...saved, argv }, problem)
    }
  }

  async #rollBack(saved: VmDefinition, problem: string): Promise<VmTimeline> {
    const { name } = this.#run.before
    const before = readRuntime(name)
    try {
      writeDefinition(saved)
      const { definition, unset } = await loadAndContinue(this.#startOf(saved, before))
      // The copy is removed after the update: the record keeps the path that the operator gave.
      const argv = [...this.#run.line]
      this.#run.after = endUpdate({ ...definition, argv })
      const program = this.#formerBinary === undefined ? argv[0] : `the program that ${argv[0]} was before`
      return this.#run.result('rolled-back', [`${problem}; it runs in ${program} again`, ...unset].join('; '))
    } catch (error) {
      // The guest is in that QEMU alone: its state file is removed.
      if (error instanceof GuestLoadError && error.isLoaded)
        return this.#run.result(
          'stranded',
          `${problem}; ${errorText(error)}: try 'guestmemfs resume --name ${name}'`,
        )
      await endQemu(this.#run.before.name, ramFileOf(this.#run.before))
      if (this.#formerBinary !== undefined) writeDefinition({ ...saved, argv: [...this.#run.line] })
      const again = `and ${saved.argv[0]} does not load it either: ${errorText(error)}`
      return this.#run.result('saved', `${problem}, ${again}: go on with 'guestmemfs resume --name ${name}'`)
    }
  }

  /** Starts a QEMU for the guest, unless its placeholder becomes one. */
  #startOf(definition: VmDefinition, before: VmRuntime | undefined, placeholder?: Started): LoadRequest {
    const mark = markAgain(this.#mark)
    const { ended } = placeholder ?? startQemu('next', ramFileOf(definition), this.#place)
    const { onStep, request } = this.#run
    return { definition, before, ended, mark, timeoutMs: request.timeoutMs, onStep }
  }
}
