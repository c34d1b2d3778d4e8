/**
 * The resumption of one saved VM, after a failed update or in the next kernel. It checks the VM's RAM and
 * state file before it starts a QEMU.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../../linux/descriptors.ts'
import { probeBinary } from '../../qemu/binary.ts'
import { endQemu } from '../../qemu/end-qemu.ts'
import { endFormerSupervisor } from '../../qemu/former-supervisor.ts'
import { type ContinuedGuest, GuestLoadError, loadAndContinue } from '../../qemu/load-and-continue.ts'
import { checkStateFile, isConsumed } from '../../qemu/saved-state.ts'
import { NeedsAnotherQemuError } from '../../qemu/sleep/goes-on.ts'
import { startSaved } from '../../qemu/start/start-saved.ts'
import { withBinary } from '../../qemu/vm-command-line.ts'
import { ramFileOf, type VmDefinition, writeDefinition } from '../../qemu/vm-definition.ts'
import { readVms, type Vm } from '../../qemu/vm-list.ts'
import { hasProcess, liveQemu, lockForUpdate, makeVmDirectory, vmPaths } from '../../run/vm-runtime.ts'
import { errorText, QemuDisconnected, UsageError } from '../../values/errors.ts'
import { programProblem } from '../preflight/next-programs.ts'
import { type Phase, PhaseClock, type VmTimeline } from '../report/timeline.ts'
import { startAnother } from './another-qemu.ts'
import type { EarlyResult } from './early-result.ts'
import { recoverGuest } from './recover-guest.ts'
import { resumeVmm } from './resume-vmm.ts'
import { type VmRequest, vmTimeline } from './vm-result.ts'
import { checkGuestsHost, isLate, waitForHost } from './wait-for-host.ts'

/** At boot the network, and a pool with more of a guest's RAM, may come up after this command has started. */
const HOST_TIMEOUT_MS = 30_000

/** For a QEMU that takes no commands any more: as long as an update waits for one that it told to quit. */
const END_TIMEOUT_MS = 10_000
const LOOK_MS = 20

/** Never rejects: what goes wrong is in the result. The VM's RAM and state file are kept then. */
export async function resumeVm(request: VmRequest): Promise<VmTimeline> {
  const { definition } = request.vm
  const { name } = definition
  const early = await request.early
  const whyNot = await waitForLateHost(request)
  if (whyNot !== undefined) return new ResumeRun(request).result('saved', whyNot)
  makeVmDirectory(name)
  const lock = request.isLocked === true ? null : await lockForUpdate(name)
  if (lock === undefined) return new ResumeRun(request).result('saved', 'an update of it is under way')
  try {
    await untilNoneStarts(name, request.timeoutMs)
    const [vm] = readVms([ramFileOf(definition)]).vms
    // One whose QEMU runs is continued there.
    if (vm?.state !== 'running') await endFormerSupervisor(name)
    // Another command, for a pool that was mounted late, has resumed it while this one waited.
    if (definition.saved !== null && vm !== undefined && isResumed(vm))
      return new ResumeRun({ ...request, vm }).result('resumed', null)
    return await new ResumeRun({ ...request, vm: vm ?? request.vm }, early).run()
  } finally {
    if (lock !== null) close(lock)
  }
}

/**
 * A command that was killed may have started a process that has the VM's lock and is not on record yet: it
 * becomes the VM's QEMU, or ends.
 */
async function untilNoneStarts(name: string, timeoutMs: number): Promise<void> {
  await waitWhile(() => hasProcess(name) && liveQemu(name) === undefined, timeoutMs)
}

/** False: it still holds after `timeoutMs`, or after as long as an update waits for a QEMU's end. */
async function waitWhile(holds: () => boolean, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + Math.min(timeoutMs, END_TIMEOUT_MS)
  while (holds()) {
    if (performance.now() > deadline) return false
    await sleep(LOOK_MS)
  }
  return true
}

const isResumed = ({ state, definition: { saved, underUpdate } }: Vm): boolean =>
  state === 'running' && saved === null && underUpdate === undefined

/**
 * Waits, without a lock, for what the host may yet get for the guest. Returns why the guest cannot be resumed
 * even so.
 */
async function waitForLateHost({ vm, timeoutMs, withoutLock }: VmRequest): Promise<string | undefined> {
  const { definition } = vm
  const waitMs = Math.min(timeoutMs, HOST_TIMEOUT_MS)
  const wait = () => waitForHost(definition, waitMs)
  if (definition.saved === null || vm.state === 'running' || !isLate(definition)) return undefined
  try {
    await (withoutLock === undefined ? wait() : withoutLock(wait))
    return undefined
  } catch (error) {
    return errorText(error)
  }
}

class ResumeRun {
  #request: VmRequest
  readonly #clock: PhaseClock
  readonly #early: EarlyResult | undefined
  #after: VmDefinition | undefined

  /** `early`: of a guest that has gone on already. */
  constructor(request: VmRequest, early?: EarlyResult) {
    this.#request = request
    this.#early = early
    this.#clock = new PhaseClock(request.originMs)
    const { saved } = request.vm.definition
    if (saved?.wasRunning) this.#clock.stopped(saved.stoppedAtMs)
    if (early !== undefined) for (const [step, atMs] of early.steps) this.#clock.ended(step, atMs)
    else if (saved !== null) this.#clock.ended('wait')
  }

  async run(): Promise<VmTimeline> {
    const onStep: OnStep = (step, atMs) => {
      this.#clock.ended(step, atMs)
      this.#request.onPhase(step)
    }
    try {
      const { definition, unset } =
        this.#request.vm.state === 'running'
          ? await this.#recover(onStep)
          : await start(this.#request, onStep)
      this.#after = definition
      return this.result('resumed', unset.join('; ') || null)
    } catch (error) {
      const { definition, state } = this.#request.vm
      const isLoaded = error instanceof GuestLoadError && error.isLoaded
      const isLive = liveQemu(definition.name, ramFileOf(definition)) !== undefined
      const isStranded = isLoaded || (state === 'running' && isLive)
      return this.result(isStranded ? 'stranded' : 'saved', `${errorText(error)}; its RAM is kept`)
    }
  }

  /**
   * Continues it in its QEMU. An update that was killed may have told that to quit, and its socket is gone
   * before its process is: then another QEMU gets the guest, by what is on record when it has ended. So does
   * a suspended guest, which its QEMU cannot continue once it has saved it.
   */
  async #recover(onStep: OnStep): Promise<ContinuedGuest> {
    const { vm, isNamed = false, timeoutMs } = this.#request
    const { definition } = vm
    try {
      const unset = this.#early?.unset
      return await recoverGuest({ definition, isNamed, timeoutMs, onStep, unset })
    } catch (error) {
      if (error instanceof NeedsAnotherQemuError) return await inAnother(definition, this.#request, onStep)
      const ended = error instanceof QemuDisconnected ? await whenEnded(definition, timeoutMs) : undefined
      if (ended === undefined) throw error
      this.#request = { ...this.#request, vm: ended }
      return await start(this.#request, onStep)
    }
  }

  result(outcome: VmTimeline['outcome'], problem: string | null): VmTimeline {
    const { definition } = this.#request.vm
    const { saved, qemuVersion } = definition
    const result = {
      before: definition,
      after: this.#after,
      qemuBefore: saved?.qemuVersion ?? qemuVersion,
      stateBytes: saved?.sizeBytes ?? 0,
      clock: this.#clock,
    }
    return vmTimeline(result, outcome, problem)
  }
}

/**
 * Of a guest that is suspended. Errors: as of `startAnother` and `loadOrEnd`; UsageError: it is not on record
 * as saved.
 */
async function inAnother(
  definition: VmDefinition,
  { timeoutMs }: VmRequest,
  onStep: OnStep,
): Promise<ContinuedGuest> {
  const [vm] = readVms([ramFileOf(definition)]).vms
  if (vm?.qemu === undefined || vm.definition.saved === null)
    throw new UsageError(`it is ${vm?.state ?? 'gone'}, and its state is not on record`)
  const { definition: saved } = vm
  const started = await startAnother(saved, vm.qemu, timeoutMs)
  return await loadOrEnd(saved, loadAndContinue({ definition: saved, ...started, timeoutMs, onStep }))
}

/** The VM as it is once its QEMU has ended. undefined: that does not end, or the record of the VM is gone. */
async function whenEnded(definition: VmDefinition, timeoutMs: number): Promise<Vm | undefined> {
  const [name, ramFile] = [definition.name, ramFileOf(definition)]
  if (!(await waitWhile(() => liveQemu(name, ramFile) !== undefined, timeoutMs))) return undefined
  await endFormerSupervisor(name)
  return readVms([ramFile]).vms[0]
}

type OnStep = (step: Phase, atMs?: number) => void

async function start({ vm, nextQemu, timeoutMs }: VmRequest, onStep: OnStep): Promise<ContinuedGuest> {
  const { argv, saved } = vm.definition
  if (saved === null) throw new UsageError(`it is ${vm.state}`)
  const other = liveQemu(vm.definition.name)
  if (other !== undefined)
    throw new UsageError(`a VM of that name in another pool is running (process ${other.pid})`)
  if (vm.definition.vmm !== undefined)
    return { definition: await resumeVmm({ vm, nextQemu, timeoutMs, onStep }), unset: [] }
  if (isConsumed(saved.path))
    throw new UsageError(
      `it went on from its saved state, and its QEMU (see ${vmPaths(vm.definition.name).log}) has ended since: nothing is left to resume, start it anew with 'guestmemfs run --replace'`,
    )
  const definition = { ...vm.definition, argv: withBinary(argv, nextQemu) }
  await checkStateFile(saved, timeoutMs)
  checkGuestsHost(definition)
  if (nextQemu !== undefined) {
    const unfit = await unfitQemu(definition)
    if (unfit !== undefined) throw unfit
    writeDefinition(definition)
  }
  const load = async () => {
    const started = await startSaved(definition, timeoutMs)
    return await loadAndContinue({ definition, ...started, timeoutMs, onStep })
  }
  return await loadOrEnd(definition, load())
}

/** Ends the QEMU that a failed load leaves; the guest stays saved. Errors: as of `loadAndContinue`. */
async function loadOrEnd(definition: VmDefinition, load: Promise<ContinuedGuest>): Promise<ContinuedGuest> {
  try {
    return await load
  } catch (error) {
    if (error instanceof GuestLoadError && error.isLoaded) throw error
    await endQemu(definition.name, ramFileOf(definition))
    throw (await unfitQemu(definition)) ?? error
  }
}

/**
 * The reason why this QEMU cannot load the guest, if it has one. The caller probes the recorded QEMU only
 * when it has failed: a probe takes as long as a start, and the guest is stopped.
 */
async function unfitQemu(definition: VmDefinition): Promise<Error | undefined> {
  try {
    const binary = await probeBinary(definition.argv[0] as string, definition)
    const problem = programProblem(binary, definition.machineType, definition.saved?.isSuspended === true)
    return problem === undefined ? undefined : new UsageError(problem)
  } catch (error) {
    return error as Error
  }
}
