/**
 * What the former kernel preserved for a pool: its sessions, its image, and which memory objects are
 * incoming. From then on this process holds the sessions: closing one is an implicit finish, which frees what
 * was not retrieved.
 */
import { close } from '../../linux/descriptors.ts'
import { must } from '../../linux/library.ts'
import { hasLiveUpdate } from '../../linux/luo.ts'
import { memfdSize, readAt, resize, writeAllAt } from '../../linux/memory.ts'
import { EBUSY, EINVAL, EIO, ENOENT, Errno } from '../../values/errno.ts'
import { CorruptBytesError, errorText, UsageError } from '../../values/errors.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { makePacked } from '../areas.ts'
import { IMAGE_TOKEN, MANIFEST_TOKEN, type Manifest, readManifest } from './manifest.ts'
import type { IncomingObject } from './retrieve-memfds.ts'
import { sessionName } from './session-names.ts'
import type { Luo } from './thread.ts'

export interface Incoming {
  readonly sessions: readonly Fd[]
  readonly incoming: readonly IncomingObject[]
  /** Objects of sessions that are not there. */
  readonly lost: readonly ObjectId[]
  readonly totalBlocks: number
  /** The packed image (fs/image/packed-image.ts), in a memfd of this process. */
  readonly packed: Fd
}

/** The former kernel handed something over that cannot be used: the keeper holds it all the same. */
export interface Unusable {
  readonly sessions: readonly Fd[]
  readonly why: string
}

/**
 * undefined: the former kernel handed nothing over for this pool. Throws UsageError where that cannot be
 * known.
 */
export async function findIncoming(pool: string, luo: Luo): Promise<Incoming | Unusable | undefined> {
  return hasLiveUpdate() ? await openIncoming(pool, luo) : undefined
}

/** The same on a kernel with the Live Update Orchestrator. */
export async function openIncoming(pool: string, luo: Luo): Promise<Incoming | Unusable | undefined> {
  const index = await luo.find(sessionName(pool))
  if (index === ENOENT) return undefined
  if (index instanceof Errno) throw new UsageError(`pool '${pool}': ${whyUnknown(index)}`)
  try {
    return await readIncoming(luo, index)
  } catch (error) {
    // This process alone holds the index, and must not close it.
    return { sessions: [index], why: errorText(error) }
  }
}

async function readIncoming(luo: Luo, index: Fd): Promise<Incoming | Unusable> {
  const manifest = await readIndexed(luo, index, MANIFEST_TOKEN, readManifest)
  const packed = await readIndexed(luo, index, IMAGE_TOKEN, copyPacked)
  if (typeof manifest === 'string') return { sessions: [index], why: manifest }
  if (typeof packed === 'string')
    return { sessions: [index, ...(await openSessions(luo, manifest)).values()], why: packed }
  return found(manifest, index, packed, await openSessions(luo, manifest))
}

/** What `read` returns; or, in a line, why that cannot be had. */
async function readIndexed<T>(luo: Luo, index: Fd, token: bigint, read: (fd: Fd) => T): Promise<T | string> {
  const fd = await luo.retrieve(index, token)
  if (fd instanceof Errno)
    return `${token === IMAGE_TOKEN ? 'its image' : 'its manifest'} could not be retrieved: ${fd}`
  try {
    return read(fd)
  } catch (error) {
    if (error instanceof CorruptBytesError) return error.message
    throw error
  } finally {
    close(fd)
  }
}

/** Under the name by which the next keeper and `fsck` find it. */
function copyPacked(fd: Fd): Fd {
  const { sizeBytes } = memfdSize(fd)
  const bytes = Buffer.alloc(sizeBytes)
  must(readAt(fd, 0, bytes), 'pread of the retrieved image')
  const copy = makePacked()
  must(resize(copy, sizeBytes), 'ftruncate of a copy')
  must(writeAllAt(copy, 0, bytes), 'pwrite of a copy')
  return copy
}

/**
 * The sessions by name. One that does not exist, or that another process has retrieved, is left out. Throws
 * where one may exist and cannot be opened.
 */
async function openSessions(luo: Luo, { sessions }: Manifest): Promise<Map<string, Fd>> {
  const opened = new Map<string, Fd>()
  for (const { name } of sessions) {
    const fd = await openSession(luo, name)
    if (fd !== undefined) opened.set(name, fd)
  }
  return opened
}

/** Other processes use the device for moments, and `find` waits for some seconds each time. */
const SESSION_TRIES = 20

async function openSession(luo: Luo, name: string): Promise<Fd | undefined> {
  for (let tries = 1; ; tries++) {
    const fd = await luo.find(name)
    if (!(fd instanceof Errno)) return fd
    if (fd === ENOENT || fd === EINVAL) return undefined
    if (tries === SESSION_TRIES) throw new UsageError(`its session ${name} could not be retrieved (${fd})`)
  }
}

function found(manifest: Manifest, index: Fd, packed: Fd, opened: ReadonlyMap<string, Fd>): Incoming {
  const incoming: IncomingObject[] = []
  const lost: ObjectId[] = []
  for (const { name, memories } of manifest.sessions) {
    const session = opened.get(name)
    for (const object of memories as ObjectId[]) {
      if (session === undefined) lost.push(object)
      else incoming.push({ object, session })
    }
  }
  return { sessions: [index, ...opened.values()], incoming, lost, totalBlocks: manifest.totalBlocks, packed }
}

/**
 * A new pool of this name would hide one that the former kernel may have handed over: so it is made only
 * where the operator asks for it.
 */
function whyUnknown(errno: Errno): string {
  const otherwise = "for a new, empty pool mount it with '-o new'"
  switch (errno) {
    case EBUSY:
      return `another process has /dev/liveupdate open, so what the former kernel handed over cannot be seen: end that process; ${otherwise}`
    case EIO:
      return `this kernel could not read what the former one handed over (see dmesg), and that memory is lost: ${otherwise}`
    case EINVAL:
      return `another process has taken what the former kernel handed over for it: ${otherwise}`
    default:
      return `/dev/liveupdate cannot be used (${errno}): ${otherwise}`
  }
}
