/**
 * `/run/guestmemfs/vm/NAME/`: the processes that run a VM just now, its QMP socket and its locks. Nothing
 * here outlives the kernel, and nothing here is needed to start the VM again: the record on its RAM file has
 * that.
 */
import {
  fstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { close } from '../linux/descriptors.ts'
import { lockFile } from '../linux/lock-file.ts'
import { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { replaceFile } from './atomic-file.ts'
import { parseRecord } from './parse-record.ts'
import { ensureFolder, VMS } from './paths.ts'
import { isAlive, type ProcessIdentity, ProcessSchema } from './process-identity.ts'

const RuntimeSchema = v.object({
  ramFile: v.string(),
  /**
   * Of former versions alone: the process that started the VM's QEMUs and would start the next one. A record
   * of this version, which has none, is no record to them.
   */
  supervisor: v.optional(ProcessSchema),
  /** On record before the process has executed QEMU. */
  qemu: v.nullable(ProcessSchema),
  /** How the last QEMU ended, or why none was started, in words; null while it runs. */
  end: v.nullable(v.string()),
  /** The file that its standard error was when it was started, if it was one. */
  errors: v.optional(v.object({ dev: v.number(), ino: v.number() })),
  /**
   * The cgroup that `qemu` was started in; of a successor, its predecessor's. Left out without cgroup v2, and
   * by former versions.
   */
  cgroup: v.optional(v.string()),
  /**
   * Of an update: a QEMU that waits for the guest and does not have it yet. Left out, as all below, where
   * there is none, and by former versions.
   */
  successor: v.optional(ProcessSchema),
  /** Of an update: the QEMU that had the guest before `qemu`. It is only ever ended. */
  predecessor: v.optional(ProcessSchema),
  /** Name of the socket of `qemu` in this directory; left out: `qmp`. */
  socket: v.optional(v.string()),
})
export type VmRuntime = v.InferOutput<typeof RuntimeSchema>

export interface VmPaths {
  readonly directory: string
  /** The QMP socket of the QEMU that has the guest, or a symlink to it. */
  readonly qmp: string
  /** Of an update: what its successor is started with. */
  readonly next: string
  /** While an update is under way: the program of the QEMU that it ends. */
  readonly formerBinary: string
  readonly record: string
  /** The description of QEMU's machine right after its start. */
  readonly machine: string
  /** Held by the VM's QEMU, or the two of an update, from before it is executed until it ends. */
  readonly lock: string
  /** Held by the process that updates, resumes or records the VM. */
  readonly updateLock: string
  /** Standard output and error of a QEMU that has no terminal. */
  readonly log: string
}

export function vmPaths(name: string): VmPaths {
  const directory = join(VMS, name)
  return {
    directory,
    qmp: join(directory, 'qmp'),
    next: join(directory, 'next.json'),
    formerBinary: join(directory, 'qemu-before'),
    record: join(directory, 'runtime.json'),
    machine: join(directory, 'machine.json'),
    // As former versions have it, which must find the lock taken.
    lock: join(directory, 'supervisor.lock'),
    updateLock: join(directory, 'update.lock'),
    log: join(directory, 'log'),
  }
}

/** Only root writes here: QEMU inherits its socket and need not open it by path. */
export function makeVmDirectory(name: string): VmPaths {
  const paths = vmPaths(name)
  ensureFolder(paths.directory)
  return paths
}

export function writeRuntime(name: string, runtime: VmRuntime): void {
  replaceFile(vmPaths(name).record, JSON.stringify(runtime), 0o600)
}

/**
 * Makes `qmp` a symlink to the socket that the runtime record names. The record decides, and the command that
 * replaced it may have been killed before it renewed the symlink: each command that continues an update calls
 * this. Never throws: where /run is full, `qmpSocket` still has the socket.
 */
export function linkQmp(name: string): void {
  const { qmp } = vmPaths(name)
  const socket = readRuntime(name)?.socket
  if (socket === undefined) return
  const link = `${qmp}.link`
  try {
    rmSync(link, { force: true })
    symlinkSync(socket, link)
    renameSync(link, qmp)
  } catch {
    // The next command tries again.
  }
}

/** The QMP socket of the QEMU that has the guest, without the symlink. */
export const qmpSocket = (name: string): string =>
  join(vmPaths(name).directory, readRuntime(name)?.socket ?? basename(vmPaths(name).qmp))

/** Undefined: nothing has run the VM since the machine started, or all of it has ended in order. */
export function readRuntime(name: string): VmRuntime | undefined {
  const text = textOf(vmPaths(name).record)
  return text === undefined ? undefined : parseRuntime(text)
}

/** undefined: it is not there, or this user may not read it. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/**
 * One line where the record of a VM's processes is there and is none of this version's kind: the VM may run
 * or not, and no command may take it for one that does not.
 */
export function runtimeProblem(name: string): string | undefined {
  const { record } = vmPaths(name)
  const text = textOf(record)
  if (text === undefined || parseRuntime(text) !== undefined) return undefined
  return `VM ${name}: whether it runs is not known, as ${record} is damaged: end its QEMU if it runs, then remove that file`
}

/** undefined: it is no record of this version's kind. */
export const parseRuntime = (text: string): VmRuntime | undefined => parseRecord(RuntimeSchema, text)

/**
 * Removes the VM's files but the log. The caller holds the VM's lock, and its update lock or none; if another
 * holds the update lock, the locks stay.
 */
export function removeRuntime(name: string, heldUpdateLock?: Fd): void {
  const { directory, record, machine, formerBinary, qmp, next, lock, updateLock } = vmPaths(name)
  for (const path of [qmpSocket(name), record, machine, formerBinary, qmp, next, join(directory, 'control')])
    rmSync(path, { force: true })
  const update = heldUpdateLock ?? tryLock(updateLock)
  if (update === undefined) return
  for (const path of [lock, updateLock]) rmSync(path, { force: true })
  if (heldUpdateLock === undefined) close(update)
  try {
    rmdirSync(directory)
  } catch {
    // The log stays in it, which shows how the guest ended.
  }
}

/**
 * The running QEMU of a VM, whichever process started it. `ramFile`: of that VM alone; another pool may have
 * one of the same name.
 */
export function liveQemu(name: string, ramFile?: string): ProcessIdentity | undefined {
  const runtime = readRuntime(name)
  const qemu = runtime?.qemu
  if (!qemu || (ramFile !== undefined && runtime.ramFile !== ramFile)) return undefined
  return isAlive(qemu) ? qemu : undefined
}

export interface LiveVm {
  readonly name: string
  readonly ramFile: string
  readonly qemu: ProcessIdentity
}

/** Every VM whose QEMU runs, whichever pools it is in. */
export function liveVms(): LiveVm[] {
  return vmNames().flatMap((name) => {
    const runtime = readRuntime(name)
    if (!runtime?.qemu || !isAlive(runtime.qemu)) return []
    return [{ name, ramFile: runtime.ramFile, qemu: runtime.qemu }]
  })
}

/** A line as of `runtimeProblem` for each VM other than `name` whose record is damaged. */
export const otherRuntimeProblems = (name: string): string[] =>
  vmNames().flatMap((other) => (other === name ? [] : (runtimeProblem(other) ?? [])))

/** Of all that were run since the machine started, and left anything here. */
export function vmNames(): string[] {
  try {
    return readdirSync(VMS)
  } catch {
    return [] // no VM was run since the machine started
  }
}

/** A preflight holds a VM's update lock for some answers of QEMU; an update holds it for longer than this. */
const BRIEF_MS = 1000
const LOOK_MS = 10

/**
 * The update lock of a VM, also where another process holds it for a moment. undefined: another command
 * updates, resumes or records the VM.
 */
export const lockForUpdate = (name: string): Promise<Fd | undefined> => lockBriefly(vmPaths(name).updateLock)

/** As `tryLock`, and waits for a holder that has it for a moment only. */
export async function lockBriefly(path: string): Promise<Fd | undefined> {
  const deadline = performance.now() + BRIEF_MS
  for (;;) {
    const lock = tryLock(path)
    if (lock !== undefined || performance.now() > deadline) return lock
    await sleep(LOOK_MS)
  }
}

/** Whether a process has the VM's lock: its QEMU, or one that is about to be that. */
export function hasProcess(name: string): boolean {
  const lock = tryLock(vmPaths(name).lock)
  if (lock === undefined) return true
  close(lock)
  return false
}

/** Undefined: another process holds the lock, or its directory is just being removed. */
export function tryLock(path: string): Fd | undefined {
  for (;;) {
    const fd = lockFile(path)
    if (fd instanceof Errno) return undefined
    // Its last holder may have removed the file meanwhile: then this is the lock of a file that no other
    // process finds.
    if (fstatSync(fd).ino === statSync(path, { throwIfNoEntry: false })?.ino) return fd
    close(fd)
  }
}
