/**
 * Whether /proc shows this process every process of the machine. Numbers: PROC_PID_INIT_INO,
 * include/linux/proc_ns.h; CAP_SYS_PTRACE, include/uapi/linux/capability.h.
 */
import { readlinkSync } from 'node:fs'
import { ENOENT } from '../values/errno.ts'
import { CAP_SYS_PTRACE, hasCapability } from './capabilities.ts'
import { errnoOfNodeError } from './library.ts'
import { mountTable } from './mounts.ts'

/** The first namespace has the same number on every machine. */
const INITIAL = 'pid:[4026531836]'

/** The facts that decide it; tests pass their own. */
export interface ProcView {
  /** The namespace of this process, by its link; undefined: this process is not in /proc. */
  readonly own: string | undefined
  /** /proc shows another namespace: there this process has another pid, or none. */
  readonly isForeign: boolean
  /** Options of the file system mounted at /proc. */
  readonly options: readonly string[]
  readonly mayTrace: boolean
}

/** Why it does not, for the end of a sentence; undefined: it shows all. */
export function hiddenProcesses(view = procView()): string | undefined {
  const { own, isForeign } = view
  if (!isForeign && own !== INITIAL)
    return 'this is a pid namespace of its own (a container, or unshare --pid)'
  return hiddenInNamespace(view)
}

/** The same for the processes of this process's own pid namespace alone. */
export function hiddenInNamespace(view = procView()): string | undefined {
  const { isForeign, options, mayTrace } = view
  // The pids that it shows are those of other processes to kill(2) and pidfd_open(2).
  if (isForeign) return '/proc is that of another pid namespace'
  if (options.includes('subset=pid')) return '/proc is mounted with subset=pid'
  const hidepid = options.find((option) => option.startsWith('hidepid=') && !/=(0|off)$/.test(option))
  // A process with CAP_SYS_PTRACE sees all of them all the same (has_pid_permissions, fs/proc/base.c).
  return hidepid !== undefined && !mayTrace ? `/proc is mounted with ${hidepid}` : undefined
}

/** Whether /proc shows another pid namespace than that of this process. */
export function isForeignProc(): boolean {
  try {
    return readlinkSync('/proc/self') !== String(process.pid)
  } catch (error) {
    if (errnoOfNodeError(error) === ENOENT) return true
    throw error
  }
}

function procView(): ProcView {
  const own = ownPidNamespace()
  if (own === undefined) return { own, isForeign: true, options: [], mayTrace: false }
  return {
    own,
    isForeign: isForeignProc(),
    options:
      mountTable().findLast(({ target, type }) => target === '/proc' && type === 'proc')?.superOptions ?? [],
    mayTrace: hasCapability(CAP_SYS_PTRACE),
  }
}

/** A name that no other pid namespace has at the same time. undefined: this process is not in /proc. */
export function ownPidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch (error) {
    if (errnoOfNodeError(error) === ENOENT) return undefined
    throw error
  }
}
