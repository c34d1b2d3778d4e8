/**
 * The processes that run an installed version, by what the kernel shows of every process: the file that it
 * executes. Each process of a version executes that version's own Node, and so do those that it starts, until
 * they end: so no record is needed, which could be stale. It sees the processes of its own pid namespace
 * alone.
 */
import { readdirSync, readlinkSync } from 'node:fs'

/** The processes that run from `folder`, an absolute path without links; this process left out. */
export function usersOf(folder: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) return []
    return executableOf(pid).startsWith(`${folder}/`) ? [pid] : []
  })
}

/** Empty: it cannot be seen. The link shows the present name of the folder, also after a rename. */
export function executableOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return '' // It has ended, or is a thread of the kernel.
  }
}
