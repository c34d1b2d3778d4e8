/**
 * Real guests in real pools for tests: started by the command line that the operator types, observed by their
 * serial output, and ended with the test.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { close } from '../../src/linux/descriptors.ts'
import { pidfdOpen, waitExit } from '../../src/linux/process.ts'
import type { UpdateReport } from '../../src/liveupdate/report/update-report.ts'
import { QmpClient } from '../../src/qemu/qmp-client.ts'
import type { ListedVm } from '../../src/qemu/vm-list.ts'
import { readRuntime, vmPaths } from '../../src/run/vm-runtime.ts'
import { Errno } from '../../src/values/errno.ts'
import { buildTinyGuest, type TinyGuest } from '../../testbed/guests/tiny-guest.ts'
import {
  CLI,
  guestmemfs,
  mountTestPool,
  type Outcome,
  printed,
  printedIn,
  runProgram,
  spelled,
  type TestPool,
} from '../mount/support.ts'
import { Serial, serialFile } from './serial.ts'

export const QEMU = 'qemu-system-x86_64'
const PATTERN_MEBIBYTES = 8

/** A pool whose VMs are ended, after the test, before it is unmounted. */
export interface VmPool extends TestPool {
  readonly endings: (() => Promise<void>)[]
}

export async function mountVmPool(t: TestContext, size = '256M'): Promise<VmPool> {
  return await withEndings(t, () => mountTestPool(t, { size }))
}

/** `mount`: the pool that it makes is unmounted after its VMs have ended. */
export async function withEndings(t: TestContext, mount: () => Promise<TestPool>): Promise<VmPool> {
  const endings: (() => Promise<void>)[] = []
  // Node runs hooks in the order in which they were set: this one before the pool's own.
  t.after(async () => {
    for (const end of endings) await end()
  })
  return { ...(await mount()), endings }
}

/** A folder that is removed after the test. */
export function scratchFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'vm-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A name that no other test run on this machine has: VMs are named host-wide. */
export function vmName(word: string): string {
  return `${word}-${process.pid}`
}

/** The tiny guest as a kernel file; `seed` tells guests apart. */
export function tinyKernel(
  folder: string,
  seed = 1,
  more: Pick<TinyGuest, 'strideBytes' | 'suspendAfter'> = {},
): string {
  const path = join(folder, `guest-${seed}.bin`)
  writeFileSync(path, buildTinyGuest({ mebibytes: PATTERN_MEBIBYTES, seed, pace: 1, ...more }))
  return path
}

/** Options by which a QEMU must end before the next one of its guest is started: one process has the file. */
export const quitFirst = (folder: string): string[] => ['-pidfile', join(folder, 'pid')]

/** The options of a small machine without any RAM option: what every test's command line begins with. */
export const SMALL_MACHINE = [
  '-machine',
  'q35',
  '-accel',
  'tcg',
  '-display',
  'none',
  '-nodefaults',
  '-no-reboot',
]

export function ramOptions(path: string, size = '64M'): string[] {
  return ['-m', size, '-object', `memory-backend-file,id=ram,size=${size},mem-path=${path},share=on`]
}

export interface TestVm {
  readonly name: string
  readonly ramFile: string
  readonly serial: Serial
  /** What QEMU has printed on its standard output, its serial port's where that is there. */
  readonly output: () => string
  readonly process: ChildProcess
  /** The standard error of `guestmemfs run` and QEMU. */
  readonly errors: () => string
  /** Exit status of `guestmemfs run`, which is QEMU by then, as a shell has it. */
  readonly ended: Promise<number | null>
}

type Command = readonly [string, ...string[]]
type Spell = (words: readonly string[]) => readonly string[]

/**
 * Starts `guestmemfs run -- qemu…` with the tiny guest, its serial port on standard output, and waits for its
 * first tick.
 */
export async function startTinyVm(
  t: TestContext,
  pool: VmPool,
  word: string,
  more: {
    options?: readonly string[]
    ramOptions?: readonly string[]
    runOptions?: readonly string[]
    seed?: number
    /** Of the guest, which checks less the larger it is, and takes less of a processor. */
    strideBytes?: number
    /** As of `TinyGuest`. */
    suspendAfter?: number
    qemu?: string
    /** True: the serial port has a file of its own. */
    hasSerialFile?: boolean
    /** The words that run guestmemfs; default: Node, and the command line of the tree under test. */
    command?: Command
    /** How that program spells the options of `run`; default: as the tree under test. */
    spell?: Spell
  } = {},
): Promise<TestVm> {
  const folder = scratchFolder(t)
  const { strideBytes, suspendAfter } = more
  const kernel = tinyKernel(folder, more.seed, {
    ...(strideBytes !== undefined && { strideBytes }),
    ...(suspendAfter !== undefined && { suspendAfter }),
  })
  const ramFile = pool.path(word)
  const { options = [], runOptions = [], qemu = QEMU, command, spell } = more
  const file = more.hasSerialFile ? serialFile(folder) : undefined
  const line = [
    qemu,
    ...SMALL_MACHINE,
    ...(more.ramOptions ?? ramOptions(ramFile)),
    '-kernel',
    kernel,
    ...(file?.options ?? ['-serial', 'stdio']),
    ...options,
  ]
  const started = runVm(pool, folder, vmName(word), ramFile, runOptions, line, command, spell)
  const vm = { ...started, serial: file?.serial ?? started.serial }
  await firstTick(vm)
  return vm
}

/** Starts `guestmemfs run`; its standard output becomes the VM's `serial`. */
export function runVm(
  pool: VmPool,
  folder: string,
  name: string,
  ramFile: string,
  runOptions: readonly string[],
  line: readonly string[],
  command: Command = [process.execPath, CLI],
  spell: Spell = spelled,
): TestVm {
  const serial = new Serial(join(folder, `${name}.out`))
  const errorPath = join(folder, `${name}.err`)
  const [output, errors] = [serial.path, errorPath].map((path) => openSync(path, 'a')) as [number, number]
  const words = ['run', '--name', name, '--pool', pool.mountPoint, ...runOptions]
  const [program, ...before] = command
  const child = spawn(program, [...before, ...spell(words), '--', ...line], {
    stdio: ['ignore', output, errors],
  })
  closeSync(output)
  closeSync(errors)
  const ended = once(child, 'exit').then(([code, signal]) => statusOf(code, signal))
  pool.endings.push(() => endVm(name, child, ended))
  const errorText = () => readFileSync(errorPath, 'latin1')
  return { name, ramFile, serial, output: () => serial.text(), process: child, errors: errorText, ended }
}

/** As a shell has it: 128 + signal. */
const statusOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  signal === null ? (code ?? 1) : 128 + constants.signals[signal]

async function firstTick({ serial, ended, errors }: TestVm): Promise<void> {
  const over = ended.then((code) => {
    throw new Error(`run ended with status ${code}: ${errors()}`)
  })
  await Promise.race([serial.until(1), over])
}

/** Ends the present QEMUs of the VM, and the supervisor of a former version, wherever they were started. */
async function endVm(name: string, child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  const runtime = readRuntime(name)
  const { qemu, supervisor, successor, predecessor } = runtime ?? {}
  const processes = [qemu, supervisor, successor, predecessor].filter((one) => one != null)
  // A pidfd is readable once all threads have ended: the last of them closes the RAM file.
  const pidfds = processes.flatMap(({ pid }) => {
    const fd = pidfdOpen(pid)
    return fd instanceof Errno ? [] : [fd]
  })
  for (const { pid } of processes) kill(pid)
  child.kill('SIGKILL')
  await ended
  for (const fd of pidfds) {
    await waitExit(fd, 5000)
    close(fd)
  }
  // The watcher may be removing its records as well.
  rmSync(vmPaths(name).directory, { recursive: true, force: true, maxRetries: 5 })
}

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended by itself.
  }
}

/** The process id of the VM's present QEMU. */
export function qemuPid(name: string): number {
  const pid = readRuntime(name)?.qemu?.pid
  if (pid === undefined) throw new Error(`no QEMU runs VM ${name}`)
  return pid
}

/** Stores bytes in a RAM file, through a mapping of another process. */
export async function storeBytes(path: string, at: number, ...bytes: number[]): Promise<void> {
  const words = [join(import.meta.dirname, 'store-bytes.ts'), path, String(at), ...bytes.map(String)]
  const { status, stderr } = await runProgram(process.execPath, words)
  if (status !== 0) throw new Error(stderr)
}

/** One QMP command on the VM's own monitor. */
export async function monitor(name: string, command: string, parameters: object = {}): Promise<unknown> {
  const qmp = await QmpClient.connect(vmPaths(name).qmp, 5_000)
  try {
    return await qmp.execute(command, parameters)
  } finally {
    qmp.close()
  }
}

/** `guestmemfs live-update --vmm-only` on one pool, with its report. */
export async function updateVmm(
  pool: TestPool,
  ...words: string[]
): Promise<Outcome & { readonly report: UpdateReport }> {
  const outcome = await guestmemfs('live-update', '--vmm-only', pool.mountPoint, '--json', ...words)
  return { ...outcome, report: reportOf('live-update', outcome) }
}

export async function resumeVms(
  pool: TestPool,
  ...words: string[]
): Promise<Outcome & { readonly report: UpdateReport }> {
  const outcome = await guestmemfs('resume', pool.mountPoint, '--json', ...words)
  return { ...outcome, report: reportOf('resume', outcome) }
}

/** A refusal has no report: its message is in `stderr`. */
function reportOf(command: 'live-update' | 'resume', { stdout }: Outcome): UpdateReport {
  const { reports } = stdout === '' ? { reports: [] } : printedIn(command, stdout)
  return (reports[0] ?? { vms: [] }) as UpdateReport
}

/** The VMs of a pool as `guestmemfs vms --json` lists them. */
export const listVms = async (pool: TestPool): Promise<readonly ListedVm[]> =>
  (await printed('vms', pool.mountPoint)).vms
