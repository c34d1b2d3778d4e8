/** Whether a process that holds a pool's memory is its keeper or its server, by its command line. */
import { readFileSync } from 'node:fs'
import { errnoOfNodeError } from '../../linux/library.ts'
import type { Role } from '../../stores/memfd/handover-transitions.ts'

const KEEPER = 'guestmemfs-keeper '
/** In the sources, or in the built package. */
const SERVER = /\/server\/main\.[tj]s$/

/** What `ps` shows of a pool's keeper. Keepers of former versions have the same title. */
export const keeperTitle = (pool: string): string => `${KEEPER}${pool}`

/** undefined: it is neither, or has ended. */
export function processRole(pid: number): Role | undefined {
  const [title = '', ...words] = commandLine(pid)
  if (title.startsWith(KEEPER)) return 'keeper'
  return words.some((word) => SERVER.test(word)) ? 'server' : undefined
}

/** The pool in a keeper's title; the kernel may have cut it short. undefined: it is no keeper. */
export function titledPool(pid: number): string | undefined {
  const [title = ''] = commandLine(pid)
  return title.startsWith(KEEPER) ? title.slice(KEEPER.length) : undefined
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch (error) {
    errnoOfNodeError(error)
    return []
  }
}
