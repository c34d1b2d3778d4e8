/**
 * Takeover of a pool that a process holds already: the new keeper copies every descriptor out of it with
 * pidfd_getfd(2). That process is the keeper of a parked pool, or a server that outlived its keeper. It keeps
 * all its own descriptors: until the new keeper's server serves and the new keeper kills the previous holder,
 * the memory has two holders, and a failure in between leaves it with the previous one.
 */
import { close } from '../../linux/descriptors.ts'
import { pidfdGetFd, pidfdOpen } from '../../linux/process.ts'
import type { DescriptorTable } from '../../stores/memfd/descriptor-table.ts'
import { HandoverWords } from '../../stores/memfd/handover-status.ts'
import { nextState, type Role } from '../../stores/memfd/handover-transitions.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { type Areas, makeTable, mapTable } from '../areas.ts'
import type { IncomingObject } from '../luo/retrieve-memfds.ts'
import { MemfdTable } from '../memfd-table.ts'
import { findAreas, findSessions } from './held-areas.ts'

export interface PoolHandles {
  readonly areas: Areas
  readonly table: DescriptorTable
  readonly memfds: MemfdTable
  readonly luoState: LuoState
  /** The connection, when the previous holder still had it. */
  readonly fuse: Fd | undefined
}

/** Live update sessions that this keeper holds from now on: incoming ones, or outgoing ones. */
export type LuoState =
  | { readonly kind: 'none' }
  /** The table has which objects are incoming; `incoming` has their order, where that is known. */
  | {
      readonly kind: 'incoming'
      readonly sessions: readonly Fd[]
      readonly incoming: readonly IncomingObject[]
    }
  /** All of the pool is preserved. */
  | { readonly kind: 'outgoing'; readonly sessions: readonly Fd[] }

/**
 * A handover that was under way is not taken over: the kernel unpreserves its objects when the last holder of
 * its sessions ends, and a later request begins it again.
 */
function takeLuoState(
  theirs: DescriptorTable,
  ours: DescriptorTable,
  role: Role,
  takeSessions: () => Fd[],
): LuoState {
  const words = new HandoverWords(theirs.words, 'keeper')
  const isComplete = nextState(words, 'take over', 'keeper') === 'preserved'
  const incoming: IncomingObject[] = []
  for (const object of theirs.objects()) {
    // An object that the keeper had retrieved, and not yet sent to its server when it died, is still in its
    // session.
    const isUnsent =
      role === 'server' &&
      theirs.get(object, 'keeper') !== undefined &&
      theirs.get(object, 'server') === undefined
    const theirState = theirs.state(object)
    const state = theirState === 'present' && isUnsent ? 'incoming' : theirState
    if (state === 'incoming') incoming.push({ object, session: undefined })
    if (state !== 'outgoing' || isComplete) ours.setState(object, state)
    ours.setIdentity(object, theirs.identity(object))
  }
  if (words.state !== 'idle' && !isComplete) return { kind: 'none' }
  const sessions = takeSessions()
  if (sessions.length === 0) return { kind: 'none' }
  if (isComplete) new HandoverWords(ours.words, 'keeper').copyFrom(words)
  return isComplete ? { kind: 'outgoing', sessions } : { kind: 'incoming', sessions, incoming }
}

/**
 * `inRegion`: what is to be copied are runtime area and connection alone. Errors: UsageError when the
 * holder's descriptors cannot be copied; nothing has changed then.
 */
export function takeOver(pool: string, pid: number, role: Role, inRegion = false): PoolHandles {
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
    // A table of this keeper's own: the other one must hold the previous holder's numbers until that has
    // ended.
    const { fd: tableFd, table } = makeTable()
    const memfds = new MemfdTable(table)
    // The keeper of a region has a table as well, of no memory, and no image.
    if (inRegion || theirs.table === undefined)
      return { areas: { runtime, memfd: undefined }, table, memfds, fuse, luoState: { kind: 'none' } }

    const theirTableFd = copy(theirs.table, 'descriptor table')
    const theirTable = mapTable(theirTableFd)
    for (const object of theirTable.objects()) {
      const number = theirTable.get(object, role)
      if (number !== undefined) memfds.hold([object], [copy(number, `memory object ${object}`)])
    }
    const sessions = () => findSessions(pid).map((session) => copy(session, 'live update session'))
    const luoState = takeLuoState(theirTable, table, role, sessions)
    close(theirTableFd)
    const image = copy(theirs.image, 'image')
    const packed =
      theirs.packed === undefined ? undefined : copy(theirs.packed, 'image from the former kernel')
    return { areas: { runtime, memfd: [tableFd, image], packed }, table, memfds, fuse, luoState }
  } finally {
    close(pidfd)
  }
}
