/**
 * The search for the processes that hold pools of memfds, by what the kernel shows of every process: its
 * descriptors. It needs no file in /run, and finds a pool by the name in its image
 * (docs/internals/ownership.md). Needs root, and sees the processes of its own pid namespace. Must not:
 * signal or change anything.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { type Identity, probe, readIdentity } from '../fs/image/header.ts'
import { HEADER_BYTES } from '../fs/image/image-format.ts'
import { findAreas, findSessions, listAreas } from '../keeper/takeover/held-areas.ts'
import { processRole, titledPool } from '../keeper/takeover/process-role.ts'
import { readWhileAlive } from '../linux/holders.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { isPoolMount, mountTable } from '../linux/mounts.ts'
import { openFile } from '../linux/opened-file.ts'
import type { PoolRecord } from '../run/pool-record.ts'
import { identify, type ProcessIdentity } from '../run/process-identity.ts'
import { POOL_BLOCKS_AT } from '../stores/memfd/descriptor-table.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { EACCES, EINVAL, ENOENT, Errno, ESRCH } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { isInRegion } from '../values/store-kinds.ts'

/** A process that has the image of a pool open. */
export interface ImageHolder {
  readonly process: ProcessIdentity
  /** undefined: it is no process of guestmemfs, such as the service manager, which has it in its store. */
  readonly role: 'keeper' | 'server' | undefined
  readonly program: string
  /** By its image. undefined: the image cannot be read. */
  readonly pool: string | undefined
  readonly totalBlocks: number
  /** It has a FUSE connection. */
  readonly isConnected: boolean
  /** Where it sees its pool mounted. */
  readonly mountPoint: string | null
  readonly parentPid: number
}

/**
 * Every holder of every pool, this process left out. Users other than root get those that the kernel lets
 * them read. Errors (UsageError): root may not read a process.
 */
export function searchHolders(): ImageHolder[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) return []
    try {
      return imagesHeldBy(pid)
    } catch (error) {
      const errno = errnoOfNodeError(error)
      // It ended meanwhile; a process that is ending answers EINVAL for its mounts.
      if ([ENOENT, ESRCH, EINVAL].includes(errno)) return []
      // The kernel refuses users other than root: they find no holder, and may not do what root does with the
      // answer.
      if (errno === EACCES && process.getuid?.() !== 0) return []
      throw new UsageError(
        `whether process ${pid} holds a pool cannot be seen (${errno}): give this process CAP_SYS_PTRACE, or try again`,
      )
    }
  })
}

/**
 * Whether all user ids of the process are root's, in the initial user namespace. `status`: as in
 * proc_pid_status(5).
 */
const runsAsRoot = (status: string): boolean => process.getuid?.() !== 0 || /^Uid:(\s+0){4}$/m.test(status)

/**
 * Whether the process is ending and has released its memory: it has no title any more that tells its role,
 * and the kernel closes its descriptors next. `status`: as in proc_pid_status(5).
 */
const isEnding = (status: string): boolean => !/^VmSize:/m.test(status)

/**
 * One for each pool that the process holds an image of: the service manager may hold several. Throws Node's
 * errors where the kernel does not let this process look, or that one has ended.
 */
export function imagesHeldBy(pid: number): ImageHolder[] {
  const areas = listAreas(pid)
  const { table, fuse }: ReturnType<typeof findAreas> = Object.fromEntries(areas)
  // What a packed image says counts more than the image that a server makes of it.
  const images = ['packed', 'image'].flatMap((wanted) =>
    areas.flatMap(([area, fd]) => (area === wanted ? fd : [])),
  )
  // Only of these is more read: reading the command line of a process waits for the lock of its memory map,
  // which it may hold without an end while it waits for a page of a file system that does not answer.
  if (images.length === 0 && table === undefined) return []
  // This reads the title before the status, which shows of a process without a title that it is ending.
  const role = processRole(pid)
  // A user may hold memfds of these names, and an image that names any pool.
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  if (!runsAsRoot(status) || isEnding(status)) return []
  const holder = identify(pid)
  if (holder === undefined) return []
  const headers = images.map((fd) => readHeader(pid, fd))
  const identities = new Map<string | undefined, Identity | undefined>()
  for (const look of headers)
    if (typeof look === 'object' && !identities.has(look.poolName)) identities.set(look.poolName, look)
  // A blank image holds nothing that could be lost. A keeper may hold what the former kernel preserved and
  // cannot be used: then it has no image. A keeper or a server has one pool, whichever copy is damaged.
  const isDamaged = headers.includes('damaged') && (role === undefined || identities.size === 0)
  if (isDamaged || (identities.size === 0 && findSessions(pid).length > 0))
    identities.set(titledPool(pid), undefined)
  if (identities.size === 0) return []
  const isConnected = fuse !== undefined
  const mounts = mountTable(pid).filter(isPoolMount)
  const program = readWhileAlive(`/proc/${pid}/comm`).trim()
  const parentPid = Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1])
  // A process that holds several pools has several tables: this one may be another pool's.
  const sizeByTable = identities.size === 1 ? sizeInTable(pid, table) : undefined
  return [...identities].map(([pool, identity]) => ({
    process: holder,
    role,
    program,
    pool,
    totalBlocks: sizeByTable ?? identity?.totalBlocks ?? 0,
    isConnected,
    mountPoint: isConnected ? (mounts.find(({ source }) => source === pool)?.target ?? null) : null,
    parentPid,
  }))
}

const MAGIC_BYTES = 8

function readHeader(pid: number, fd: number): ReturnType<typeof readIdentity> | 'blank' | 'damaged' {
  const file = openFile(`/proc/${pid}/fd/${fd}`)
  if (file instanceof Errno) return file === ENOENT || file === ESRCH ? 'blank' : 'damaged'
  try {
    const header = file.read(0, HEADER_BYTES)
    if (header instanceof Errno) return 'damaged'
    const isBlank =
      header.length < HEADER_BYTES ||
      header.subarray(0, MAGIC_BYTES).every((byte) => byte === 0) ||
      // A server is making this image just now. Where it makes it of a packed one, that names the pool.
      probe(header) === 'unfinished'
    return isBlank ? 'blank' : (readIdentity(header) ?? 'damaged')
  } finally {
    file.close()
  }
}

/**
 * The image's header has the size that the pool was made with; a server writes the present one into the
 * table.
 */
function sizeInTable(pid: number, table: number | undefined): number | undefined {
  const file = table === undefined ? ENOENT : openFile(`/proc/${pid}/fd/${table}`)
  if (file instanceof Errno) return undefined
  try {
    const word = file.read(POOL_BLOCKS_AT, 4)
    return word instanceof Errno || word.length < 4 ? undefined : Buffer.from(word).readInt32LE() || undefined
  } finally {
    file.close()
  }
}

/** The keeper has closed its connection: the pool is parked, whatever its record says. */
export function hasNoConnection({ source, keeper }: PoolRecord): boolean {
  try {
    return !isInRegion(source) && findAreas(keeper.pid).fuse === undefined
  } catch (error) {
    errnoOfNodeError(error)
    return false
  }
}

/** In a record, where no process has the role: no process has this pid. */
export const NO_PROCESS: ProcessIdentity = { pid: 0, startTime: '' }

/**
 * The record that the keeper of `pool` would have written. undefined: no keeper and no server of it is alive.
 */
export function livingRecord(pool: string, holders: readonly ImageHolder[]): PoolRecord | undefined {
  const own = holders.filter((holder) => holder.pool === pool)
  const servers = own.filter(({ role }) => role === 'server')
  const keepers = own.filter(({ role }) => role === 'keeper')
  // Of several keepers, one that was started for a takeover and failed has no server.
  const keeper =
    keepers.find(({ process: { pid } }) => servers.some((each) => each.parentPid === pid)) ?? keepers[0]
  const server = servers.find((each) => each.parentPid === keeper?.process.pid) ?? servers[0]
  const holder = keeper ?? server
  if (holder === undefined) return undefined
  return recordOf(pool, holder, { keeper: keeper?.process ?? NO_PROCESS, server: server?.process ?? null })
}

/** The record of a pool of memfds that a process holds. */
export function recordOf(
  pool: string,
  { totalBlocks, isConnected, mountPoint }: ImageHolder,
  processes: Pick<PoolRecord, 'keeper' | 'server'>,
): PoolRecord {
  return {
    pool,
    source: { kind: 'memfd', totalBlocks, isNew: false },
    sizeBytes: totalBlocks * BLOCK_BYTES,
    state: isConnected ? 'mounted' : 'parked',
    mountPoint,
    ...processes,
  }
}
