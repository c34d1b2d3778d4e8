/** The namespaces of a process, to be entered by one that is about to execute a program. setns(2). */
import { openSync, readlinkSync } from 'node:fs'
import type { Fd } from '../values/ids.ts'
import { libcCall, must } from './library.ts'

const setns = libcCall('setns', 'int', ['int', 'int'])

/** Those that a single thread can enter for itself. */
const ENTERED = ['net', 'ipc', 'uts'] as const

/**
 * Those of `pid` that this process is not in, each as a descriptor, which keeps the namespace; close-on-exec.
 * Errors: Node's, where the process has ended.
 */
export const openNamespaces = (pid: number): Fd[] =>
  ENTERED.filter(
    (kind) => readlinkSync(`/proc/${pid}/ns/${kind}`) !== readlinkSync(`/proc/self/ns/${kind}`),
  ).map((kind) => openSync(`/proc/${pid}/ns/${kind}`, 'r') as Fd)

/**
 * Moves the calling thread alone: a program that it executes next runs there, and until then no other thread
 * does. Throws SystemCallError: EPERM (only root may).
 */
export function enterNamespaces(descriptors: readonly Fd[]): void {
  // SAFETY: setns takes two integers; 0: whatever kind the descriptor is of.
  for (const fd of descriptors) must(setns(fd, 0), `setns fd ${fd}`)
}
