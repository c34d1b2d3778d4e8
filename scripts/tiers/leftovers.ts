/**
 * Finds and removes processes and mounts that a test left behind. A process belongs to the run when its
 * environment has the run's marker or it names the run's folder; a mount, when it is in that folder. Must
 * not: touch anything else of the machine, which may have other pools.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mountTable, unmount } from '../../src/linux/mounts.ts'

export const MARKER = 'GUESTMEMFS_TEST_RUN'

interface Leftover {
  readonly what: string
  readonly remove: () => void
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // The process has ended meanwhile.
  }
}

function executable(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return '' // A kernel thread, a zombie, or ended.
  }
}

/** `folder`: that of one test file, or of a whole run. */
function leftProcesses(folder: string): Leftover[] {
  const mark = `${MARKER}=${folder}`
  const pids = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
  return pids.flatMap((pid) => {
    const words = read(`/proc/${pid}/environ`).split('\0')
    const marked = words.some((word) => word === mark || word.startsWith(`${mark}/`))
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
 * Removes what a test file that has ended left behind, after a pause for children that are just ending.
 * Returns a line for each.
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
