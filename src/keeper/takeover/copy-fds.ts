/**
 * Owns how a new keeper comes by a pool that exists already: it copies every descriptor out of the process
 * that holds them, which is the keeper of a parked pool, or the server that outlived its keeper. Copying takes
 * nothing away: until the heir is in place and the former holder is ended, the memory has two holders, and a
 * failure on the way leaves it where it was.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { close } from '../../linux/descriptors.ts'
import { SESSION_LINK } from '../../linux/luo.ts'
import { pidfdGetFd, pidfdOpen } from '../../linux/process.ts'
import type { DescriptorTable, Holder } from '../../stores/memfd/descriptor-table.ts'
import { HandOverWords } from '../../stores/memfd/handover-status.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { type Areas, makeTable, mapTable } from '../areas.ts'
import type { Awaited } from '../luo/incoming.ts'
import { Custody } from '../memfd-table.ts'

export interface Estate {
  readonly areas: Areas
  readonly table: DescriptorTable
  readonly custody: Custody
  readonly travel: Travel
  /** The live connection, when the former holder was still serving it. */
  readonly fuse: Fd | undefined
}

/** What a pool has to do with the kernel before this one, or after it. Sessions are the heir's to hold. */
export type Travel =
  | { readonly kind: 'none' }
  /** The table says which memories are awaited; `awaited` only in which order, where that is known. */
  | { readonly kind: 'arriving'; readonly sessions: readonly Fd[]; readonly awaited: readonly Awaited[] }
  /** All of it is handed over. */
  | { readonly kind: 'leaving'; readonly sessions: readonly Fd[] }

const LINKS = {
  table: '/memfd:guestmemfs:descriptors (deleted)',
  image: '/memfd:guestmemfs:image (deleted)',
  runtime: '/memfd:guestmemfs:runtime (deleted)',
  packed: '/memfd:guestmemfs:packed-image (deleted)',
  fuse: '/dev/fuse',
} as const

/** Descriptor number of each area in process `pid`, found by what /proc says each descriptor is. */
export const findAreas = (pid: number): Partial<Record<keyof typeof LINKS, Fd>> => {
  const found: Partial<Record<keyof typeof LINKS, Fd>> = {}
  for (const [fd, link] of descriptorLinks(pid)) {
    for (const [area, wanted] of Object.entries(LINKS)) {
      if (link === wanted) found[area as keyof typeof LINKS] = fd
    }
  }
  return found
}

function* descriptorLinks(pid: number): IterableIterator<[Fd, string]> {
  for (const entry of readdirSync(`/proc/${pid}/fd`)) {
    try {
      yield [Number(entry) as Fd, readlinkSync(`/proc/${pid}/fd/${entry}`)]
    } catch {
      // Closed while we looked.
    }
  }
}

/** All of them: one that came and one that goes may have the same name. */
const findSessions = (pid: number): Fd[] =>
  [...descriptorLinks(pid)].flatMap(([fd, link]) => (link.startsWith(SESSION_LINK) ? fd : []))

/**
 * What was begun and not ended is not taken over: a hand-over that was under way is undone when the last holder of its sessions
 * ends, and begins again when it is asked for.
 */
const takeTravel = (
  theirs: DescriptorTable,
  ours: DescriptorTable,
  role: Holder,
  takeSessions: () => Fd[],
): Travel => {
  const words = new HandOverWords(theirs.words)
  const isGone = words.status.step === 'image' && words.state === 'done'
  const awaited: Awaited[] = []
  for (const memory of theirs.memories()) {
    // What the keeper had and had not yet brought to its server died with it: its session has it still.
    const isBehind =
      role === 'server' &&
      theirs.get(memory, 'keeper') !== undefined &&
      theirs.get(memory, 'server') === undefined
    const said = theirs.passage(memory)
    const passage = said === 'none' && isBehind ? 'awaited' : said
    if (passage === 'awaited') awaited.push({ memory, session: undefined })
    if (passage !== 'leaving' || isGone) ours.setPassage(memory, passage)
  }
  if (words.state !== 'idle' && !isGone) return { kind: 'none' }
  const sessions = takeSessions()
  if (sessions.length === 0) return { kind: 'none' }
  if (isGone) new HandOverWords(ours.words).copyFrom(words)
  return isGone ? { kind: 'leaving', sessions } : { kind: 'arriving', sessions, awaited }
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
    if (theirs.table === undefined)
      return { areas: { runtime, memfd: undefined }, table, custody, fuse, travel: { kind: 'none' } }

    const theirTableFd = copy(theirs.table, 'descriptor table')
    const theirTable = mapTable(theirTableFd)
    for (const memory of theirTable.memories()) {
      const number = theirTable.get(memory, role)
      if (number !== undefined) custody.keep([memory], [copy(number, `memory ${memory}`)])
    }
    const sessions = () => findSessions(pid).map((session) => copy(session, 'live update session'))
    const travel = takeTravel(theirTable, table, role, sessions)
    close(theirTableFd)
    const image = copy(theirs.image, 'image')
    const packed =
      theirs.packed === undefined ? undefined : copy(theirs.packed, 'image from the former kernel')
    return { areas: { runtime, memfd: [tableFd, image], packed }, table, custody, fuse, travel }
  } finally {
    close(pidfd)
  }
}
