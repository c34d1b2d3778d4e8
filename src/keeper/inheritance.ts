/**
 * Owns how a new keeper comes by a pool that exists already: it copies every descriptor out of the process
 * that holds them, which is the keeper of a parked pool, or the server that outlived its keeper. Copying takes
 * nothing away: until the heir is in place and the former holder is ended, the memory has two holders, and a
 * failure on the way leaves it where it was.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { close } from '../linux/descriptors.ts'
import { pidfdGetFd, pidfdOpen } from '../linux/process.ts'
import type { Holder } from '../stores/descriptor-table.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { type Areas, makeTable, mapTable } from './areas.ts'
import { Custody } from './custody.ts'

export interface Estate {
  readonly areas: Areas
  readonly custody: Custody
  /** The live connection, when the former holder was still serving it. */
  readonly fuse: Fd | undefined
}

const LINKS = {
  table: '/memfd:guestmemfs:descriptors (deleted)',
  image: '/memfd:guestmemfs:image (deleted)',
  runtime: '/memfd:guestmemfs:runtime (deleted)',
  fuse: '/dev/fuse',
} as const

/** Descriptor number of each area in process `pid`, found by what /proc says each descriptor is. */
export const findAreas = (pid: number): Partial<Record<keyof typeof LINKS, Fd>> => {
  const found: Partial<Record<keyof typeof LINKS, Fd>> = {}
  for (const entry of readdirSync(`/proc/${pid}/fd`)) {
    let link: string
    try {
      link = readlinkSync(`/proc/${pid}/fd/${entry}`)
    } catch {
      continue
    }
    for (const [area, wanted] of Object.entries(LINKS)) {
      if (link === wanted) found[area as keyof typeof LINKS] = Number(entry) as Fd
    }
  }
  return found
}

/** Errors: UsageError when the holder's descriptors cannot be copied; nothing has changed then. */
export const inherit = (pool: string, pid: number, role: Holder): Estate => {
  const pidfd = pidfdOpen(pid)
  if (pidfd instanceof Errno)
    throw new UsageError(`pool '${pool}': its ${role} (process ${pid}) ended meanwhile: mount again`)
  const copy = (number: Fd | undefined, what: string): Fd => {
    const fd = number === undefined ? undefined : pidfdGetFd(pidfd, number)
    if (fd === undefined || fd instanceof Errno) {
      throw new UsageError(
        `pool '${pool}': its ${what} cannot be copied out of process ${pid} (${fd ?? 'not found'})`,
      )
    }
    return fd
  }
  try {
    const theirs = findAreas(pid)
    const runtime = copy(theirs.runtime, 'runtime area')
    const fuse = theirs.fuse === undefined ? undefined : copy(theirs.fuse, 'connection')
    // A table of our own: theirs must go on telling the truth about them until they are gone.
    const { fd: tableFd, table } = makeTable()
    const custody = new Custody(table)
    if (theirs.table === undefined) return { areas: { runtime, memfd: undefined }, custody, fuse }

    const theirTableFd = copy(theirs.table, 'descriptor table')
    const theirTable = mapTable(theirTableFd)
    for (const memory of theirTable.memories()) {
      const number = theirTable.get(memory, role)
      if (number !== undefined) custody.keep([memory], [copy(number, `memory ${memory}`)])
    }
    close(theirTableFd)
    const image = copy(theirs.image, 'image')
    return { areas: { runtime, memfd: [tableFd, image] }, custody, fuse }
  } finally {
    close(pidfd)
  }
}
