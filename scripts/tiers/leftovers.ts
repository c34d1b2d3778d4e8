/**
 * Owns finding what a test left running or mounted, and taking it away. A process is ours when it carries the
 * run's marker in its environment or names the run's folder; a mount, when it lies in that folder. Must not
 * touch anything else of the machine: others may be running their own pools.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mountTable, unmount } from '../../src/linux/mount.ts'

export const MARKER = 'GUESTMEMFS_TEST_RUN'

interface Leftover {
  readonly what: string
  readonly remove: () => void
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // The process ended while we looked.
  }
}

function executable(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return '' // A kernel thread, a zombie, or gone.
  }
}

function leftProcesses(folder: string): Leftover[] {
  const pids = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
  return pids.flatMap((pid) => {
    const marked = read(`/proc/${pid}/environ`).split('\0').includes(`${MARKER}=${folder}`)
    const command = read(`/proc/${pid}/cmdline`)
    if (executable(pid) === '' || (!marked && !command.includes(`${folder}/`))) return []
    const what = `process ${pid}: ${command.replaceAll('\0', ' ').trim().slice(0, 120)}`
    return { what, remove: () => void endProcess(pid) }
  })
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}

function leftMounts(folder: string): Leftover[] {
  return mountTable()
    .filter(({ target }) => target.startsWith(`${folder}/`))
    .map(({ target, type }) => ({
      what: `mount ${target} (${type})`,
      remove: () => void unmount(target, { lazy: true }),
    }))
    .reverse()
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * What is left of a test file that ended, after a moment of grace for children that are just ending. All of
 * it is taken away; the answer is a line for each.
 */
export async function removeLeftovers(folder: string, graceMs = 3000): Promise<string[]> {
  const find = (): Leftover[] => [...leftProcesses(folder), ...leftMounts(folder)]
  const deadline = performance.now() + graceMs
  let left = find()
  while (left.length > 0 && performance.now() < deadline) {
    await pause(100)
    left = find()
  }
  for (const { remove } of left) remove()
  return left.map(({ what }) => what)
}
