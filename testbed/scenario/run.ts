/**
 * One run of a scenario: prepares kernels and disks, boots, runs the scenario within its time limit, and
 * returns a summary. All its files are in one folder, which it keeps when the run failed, or on request.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorText, UsageError } from '../../src/values/errors.ts'
import { cacheRoot, dropUnused, keepRunFolder, makeRunFolder } from '../cache.ts'
import { type BootFiles, buildProjectDisk, INSIDE_HOME } from '../image/project.ts'
import { SYSTEMD_INIT } from '../image/systemd.ts'
import { chooseAccelerator } from '../machine/accelerator.ts'
import { Host } from '../machine/host.ts'
import { HostError, ScriptError, within } from '../machine/log.ts'
import type { MachineOptions } from '../machine/machine.ts'
import { Peer } from '../machine/peer.ts'
import { ensureRoom } from '../space.ts'
import { type PartChoice, type Parts, prefetch } from './parts.ts'
import { Recorder, type Summary } from './recorder.ts'
import type { BootChoice, Scenario, Stage } from './scenario.ts'
import { emulatorFault, type FailureKind } from './verdict.ts'

/** Choices of the operator, which override the scenario's. */
export interface RunOptions extends PartChoice {
  readonly memory?: string | undefined
  readonly keep?: boolean
  /** For the scenario. */
  readonly words?: readonly string[]
}

export const DEFAULT_MEMORY = '2G'
const DEFAULT_TIMEOUT_MS = 1200_000
const CPUS = 2
/** The project disk, and what a host writes to its disks meanwhile. */
const RUN_BYTES = 1024 * 2 ** 20
const PROJECT_DISK = 'project.ext4'
/** A crash of the host's kernel ends it at once. */
const COMMON_COMMAND_LINE = 'console=ttyS0 root=/dev/vda panic=-1 oops=panic'
const CLEANUP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** A compiler or apt may still run, and ends with this process: the caller must end it. */
export class StoppedError extends UsageError {}

export interface Outcome<R> {
  readonly summary: Summary
  /** What the scenario returned; undefined where it failed. */
  readonly result: R | undefined
}

/**
 * Throws `UsageError` for wrong options, and when a signal stops it. A failure inside is never thrown: it is
 * the summary's verdict.
 */
export async function runScenario<R>(
  name: string,
  scenario: Scenario<R>,
  options: RunOptions,
): Promise<Outcome<R>> {
  dropUnused(['runs', 'root', 'kernels', 'initramfs', 'qemu', 'busybox', 'debs', 'helpers', 'packages'])
  ensureRoom(cacheRoot, RUN_BYTES, 'a run')
  const folder = makeRunFolder(name)
  checkSocketPath(folder)
  const recorder = new Recorder()
  const stopped = Promise.withResolvers<never>()
  const stop = (signal: string): void => stopped.reject(new StoppedError(`stopped by ${signal}`))
  for (const signal of CLEANUP_SIGNALS) process.once(signal, stop)
  const hosts: Host[] = []
  const peers: Peer[] = []
  let over = false
  // Also where nothing is thrown: guests' ticks are judged at the end.
  let kind: FailureKind = 'machine'
  let result: R | undefined
  let refusal: UsageError | undefined
  const body = async (parts: Parts): Promise<void> => {
    const { machine, ...choices } = await prepare(scenario, parts, options, folder, recorder)
    if (over) return // stopped during the preparation: no machine may start now
    const peer = scenario.hasPeer ? await Peer.listen(join(folder, 'peer.socket')) : undefined
    if (peer !== undefined) peers.push(peer)
    const host = new Host({ ...machine, peer: peer?.path })
    hosts.push(host)
    await recorder.phase('boot', () => host.boot())
    result = await scenario.run(makeStage(host, peer, choices, options.words ?? [], recorder))
    recorder.judgeGuests()
  }
  try {
    // Outside of the run's time limit: the first download and build may take long.
    const fetching = prefetch(scenario, (step, work, detail) => recorder.phase(step, work, detail), options)
    const parts = await Promise.race([fetching, stopped.promise])
    const timeoutMs = scenario.timeoutMs ?? DEFAULT_TIMEOUT_MS
    await within(Promise.race([body(parts), stopped.promise]), timeoutMs, () => `${name} took too long`)
  } catch (error) {
    // Wrong options and a signal are no verdict on the product.
    if (error instanceof UsageError) refusal = error
    recorder.failure = errorText(error)
    kind = kindOf(error)
  } finally {
    over = true
    if (recorder.failure !== undefined)
      recorder.emulator = emulatorFault({
        failure: recorder.failure,
        kind,
        accelerator: recorder.accelerator,
        host: await hosts[0]?.evidence(),
        guests: recorder.guestEvidence(),
      })
    if (scenario.mustFail !== undefined) recorder.judgeSeeded(scenario.mustFail)
    if (scenario.mustBeExcused !== undefined) recorder.judgeExcused(scenario.mustBeExcused)
    recorder.boots = hosts.flatMap((host) => host.boots)
    for (const host of hosts) await host.end()
    for (const peer of peers) peer.close()
    for (const signal of CLEANUP_SIGNALS) process.removeListener(signal, stop)
  }
  if (refusal !== undefined) {
    rmSync(folder, { recursive: true, force: true })
    throw refusal
  }
  const summary = putAway(name, recorder, folder, options.keep ?? false)
  return { summary, result: summary.verdict === 'passed' ? result : undefined }
}

function kindOf(error: unknown): FailureKind {
  if (error instanceof HostError) return 'machine'
  return error instanceof ScriptError ? 'command' : 'assertion'
}

/** sun_path of a unix socket has 108 bytes, the last one zero (unix(7)). */
function checkSocketPath(folder: string): void {
  if (Buffer.byteLength(join(folder, 'agent.socket')) < 108) return
  rmSync(folder, { recursive: true, force: true })
  throw new UsageError(`${cacheRoot} is too long a path for sockets: set XDG_CACHE_HOME to a shorter one`)
}

interface Prepared {
  readonly machine: Omit<MachineOptions, 'onConsole'>
  readonly first: BootChoice
  readonly next: BootChoice
}

async function prepare(
  scenario: Scenario<unknown>,
  { first, next, root, qemu }: Parts,
  options: RunOptions,
  folder: string,
  recorder: Recorder,
): Promise<Prepared> {
  const project = join(folder, PROJECT_DISK)
  const files = (await scenario.files?.()) ?? {}
  await recorder.phase('project disk', () =>
    buildProjectDisk({ kernels: { first, next }, files, older: scenario.older }, project),
  )
  const accelerator = await chooseAccelerator(qemu, folder)
  recorder.accelerator = accelerator
  const init = scenario.init === 'systemd' ? SYSTEMD_INIT : ''
  const commandLine = [COMMON_COMMAND_LINE, init, scenario.append ?? '']
    .filter((words) => words !== '')
    .join(' ')
  const machine = {
    qemu,
    accelerator,
    memory: options.memory ?? scenario.memory ?? DEFAULT_MEMORY,
    nodes: scenario.nodes ?? 1,
    passesNic: scenario.passesNic ?? false,
    cpus: CPUS,
    kernel: first.kernel.vmlinuz,
    initramfs: first.initramfs,
    commandLine,
    disks: [root, project],
    resetStartsAgain: scenario.resetStartsAgain ?? false,
    folder,
  }
  return { machine, first: choice('first', first), next: choice('next', next) }
}

const choice = (name: string, { kernel }: BootFiles): BootChoice => ({
  release: kernel.release,
  vmlinuz: `${INSIDE_HOME}/kernels/${name}/vmlinuz`,
  initramfs: `${INSIDE_HOME}/kernels/${name}/initramfs`,
})

function makeStage(
  host: Host,
  peer: Peer | undefined,
  choices: Omit<Prepared, 'machine'>,
  words: readonly string[],
  recorder: Recorder,
): Stage {
  return {
    host,
    peer,
    ...choices,
    words,
    phase: (name, work) => recorder.phase(name, work),
    keep: (name, value) => recorder.keep(name, value),
    expect: (name, value, wanted) => recorder.expect(name, value, wanted),
    guest: (name) => recorder.guest(host.log(name), (tick) => host.consoleTicks.toldAtMs(name, tick)),
  }
}

function putAway(name: string, recorder: Recorder, folder: string, keep: boolean): Summary {
  const keeps = keep || recorder.failure !== undefined
  if (!keeps) {
    rmSync(folder, { recursive: true, force: true })
    return recorder.summary(name, undefined)
  }
  rmSync(join(folder, PROJECT_DISK), { force: true }) // large, and can be made again from the same files
  const kept = keepRunFolder(folder)
  const summary = recorder.summary(name, kept)
  writeFileSync(join(kept, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`)
  return summary
}
