/**
 * Owns starting saved VMs whose QEMU is gone: after a failed update, or after the machine has a new kernel. Checks what
 * it is about to trust before anything is started.
 */
import { close } from '../linux/descriptors.ts'
import { closeStreams, logStreams, superviseInBackground } from '../qemu/background.ts'
import { probeBinary } from '../qemu/binary.ts'
import { BringUpError, bringUp } from '../qemu/bring-up.ts'
import { hasMachineType } from '../qemu/machine-type.ts'
import { QmpClient } from '../qemu/qmp-client.ts'
import { killQemu } from '../qemu/save-and-quit.ts'
import { checkStateFile } from '../qemu/saved-state.ts'
import { ramBytesOf, ramFileOf, type VmDefinition, writeDefinition } from '../qemu/vm-definition.ts'
import { readVms, type Vm } from '../qemu/vm-list.ts'
import { makeVmDirectory, readRuntime, tryLock, vmPaths } from '../run/vm-runtime.ts'
import { errorText, UsageError } from '../values/errors.ts'
import { missingRam } from './preflight.ts'
import { recoverGuest } from './recover-guest.ts'
import { type Phase, PhaseClock, type VmTimeline } from './timeline.ts'

export interface Resumption {
  readonly vm: Vm
  readonly nextQemu: string | undefined
  readonly timeoutMs: number
  readonly originMs: number
  readonly onPhase: (phase: Phase) => void
}

/** Never rejects: what goes wrong is in the result. The VM's RAM and state file are kept then. */
export async function resumeVm(request: Resumption): Promise<VmTimeline> {
  const { name } = request.vm.definition
  const lock = tryLock(makeVmDirectory(name).updateLock)
  if (lock === undefined) return new Resuming(request).result('saved', 'an update of it is under way')
  try {
    const [vm] = readVms([ramFileOf(request.vm.definition)]).vms
    return await new Resuming({ ...request, vm: vm ?? request.vm }).run()
  } finally {
    close(lock)
  }
}

class Resuming {
  readonly #request: Resumption
  readonly #clock: PhaseClock
  #after: VmDefinition | undefined

  constructor(request: Resumption) {
    this.#request = request
    this.#clock = new PhaseClock(request.originMs)
    const { saved } = request.vm.definition
    if (saved?.wasRunning) this.#clock.stopped(saved.stoppedAtMs)
    if (saved !== null) this.#clock.ended('wait')
  }

  async run(): Promise<VmTimeline> {
    const { vm, timeoutMs } = this.#request
    const onStep = (step: Phase, atMs?: number) => {
      this.#clock.ended(step, atMs)
      this.#request.onPhase(step)
    }
    try {
      this.#after =
        vm.state === 'running'
          ? await recoverGuest({ definition: vm.definition, timeoutMs, onStep })
          : await start(this.#request, onStep)
      return this.result('resumed', null)
    } catch (error) {
      const isStranded = vm.state === 'running' || (error instanceof BringUpError && error.isLoaded)
      return this.result(isStranded ? 'stranded' : 'saved', `${errorText(error)}; its RAM is kept`)
    }
  }

  result(outcome: VmTimeline['outcome'], problem: string | null): VmTimeline {
    const { definition } = this.#request.vm
    return {
      name: definition.name,
      ramBytes: ramBytesOf(definition),
      outcome,
      problem,
      qemuBefore: definition.saved?.qemuVersion ?? definition.qemuVersion,
      qemuAfter: this.#after?.qemuVersion ?? null,
      stateBytes: definition.saved?.sizeBytes ?? 0,
      phases: this.#clock.phases,
      blackoutUs: this.#after === undefined ? null : this.#clock.blackoutUs,
    }
  }
}

async function start(
  { vm, nextQemu, timeoutMs }: Resumption,
  onStep: (step: Phase, atMs?: number) => void,
): Promise<VmDefinition> {
  const { argv, saved } = vm.definition
  if (saved === null) throw new UsageError(`it is ${vm.state}`)
  const nextArgv = nextQemu === undefined ? argv : [nextQemu, ...argv.slice(1)]
  const definition = { ...vm.definition, argv: nextArgv }
  const [missing] = missingRam(definition)
  if (missing !== undefined) throw new UsageError(missing)
  checkStateFile(saved)
  if (nextQemu !== undefined) {
    const unfit = await unfitQemu(definition)
    if (unfit !== undefined) throw unfit
    writeDefinition(definition)
  }
  const before = readRuntime(definition.name)
  const streams = logStreams(definition.name)
  const givenUp = superviseInBackground(ramFileOf(definition), streams)
  closeStreams(streams)
  try {
    return await bringUp({ definition, before, givenUp, timeoutMs, onStep })
  } catch (error) {
    if (error instanceof BringUpError && error.isLoaded) throw error
    const qemu = readRuntime(definition.name)?.qemu
    if (qemu) {
      await stop(definition.name)
      await killQemu(definition.name, qemu).catch(() => {})
    }
    throw (await unfitQemu(definition)) ?? error
  }
}

/**
 * Why this QEMU could never take the guest. The QEMU a guest had is only asked when it has failed: asking takes as long as starting
 * it, and the guest stands still.
 */
async function unfitQemu(definition: VmDefinition): Promise<Error | undefined> {
  try {
    const binary = await probeBinary(definition.argv[0] as string, definition)
    if (hasMachineType(binary, definition.machineType)) return undefined
    return new UsageError(
      `${binary.path} (QEMU ${binary.version}) has no machine type ${definition.machineType}`,
    )
  } catch (error) {
    return error as Error
  }
}

async function stop(name: string): Promise<void> {
  const qmp = await QmpClient.connect(vmPaths(name).qmp, 1000).catch(() => undefined)
  await qmp?.execute('quit').catch(() => {})
  qmp?.close()
}
