/**
 * The processes that run an installed version, by what the kernel shows of every process: the file that it
 * executes. Each process of a version executes that version's own Node, and so do those that it starts, for
 * as long as they live: no record is asked, and none can be stale. Sees its own pid namespace.
 */
import { readdirSync, readlinkSync } from 'node:fs'

/** Of `folder`, an absolute path without links; this process left out. */
export function usersOf(folder: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) return []
    return executable(pid).startsWith(`${folder}/`) ? [pid] : []
  })
}

/** It follows a rename of the folder that it lies in. */
function executable(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return '' // It has ended, or is a thread of the kernel.
  }
}
