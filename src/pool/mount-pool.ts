/**
 * The mount of a pool: it checks first, so that a refusal has changed nothing, then finds the process that
 * holds the pool now, then starts the keeper that takes it over.
 */
import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { CONTACT_VERSION } from '../keeper/contact.ts'
import type { StoredPool } from '../keeper/fdstore/restored.ts'
import { close } from '../linux/descriptors.ts'
import { kernelRelease } from '../linux/memory-info.ts'
import { FUSE_TYPE, mountTable } from '../linux/mounts.ts'
import { ownStartMs } from '../linux/process.ts'
import { checkPoolName } from '../run/check-names.ts'
import { lockPath, type PoolRecord } from '../run/pool-record.ts'
import { takeLockIfRoom } from '../run/take-lock.ts'
import type { MemorySource } from '../server/messages.ts'
import { checkSeesHolders } from '../stores/carve-out/sees-holders.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
import { DEFAULT_STORE, isInRegion, isRegionKind } from '../values/store-kinds.ts'
import { choosePoolSize, wholeBlocks } from './choose-pool-size.ts'
import { deadMount, findHolder, isMountedHere } from './find-holder.ts'
import { type MountOptions, parseMountOptions, SESSION_FILES } from './mount-options.ts'
import type { Lost } from './remains.ts'
import { startKeeper } from './start-keeper.ts'
import { checkOwnProc } from './unseen-processes.ts'
import type { WaitingKeeper } from './waiting-keeper.ts'

export interface MountRequest {
  readonly pool: string
  readonly mountPoint: string
  readonly options: readonly string[]
}

export interface Mounted {
  readonly pool: string
  readonly mountPoint: string
  readonly sizeBytes: number
  /**
   * 'new', 'found' (it was parked, or lies in memory that outlives its processes), 'handed-over' (by the
   * former kernel), 'adopted' (its keeper had died, its server had not), or 'lost' (both had died, and the
   * pool's memory was lost: this is a new one, as the mount asked for).
   */
  readonly how: (typeof HOW)[number]
}

export const HOW = ['new', 'found', 'handed-over', 'adopted', 'lost'] as const

/**
 * `stored`: what the service manager passed to the pool's unit, if it did. `waiting`: a keeper's process that
 * has been started already. Errors: UsageError, with nothing changed.
 */
export async function mountPool(
  request: MountRequest,
  stored?: StoredPool,
  waiting?: WaitingKeeper,
): Promise<Mounted> {
  const pool = checkPoolName(request.pool)
  const options = parseMountOptions(request.options)
  if (options.store !== undefined && isRegionKind(options.store)) checkSeesHolders(options.store)
  checkMachine()
  checkOwnProc()
  const inUse = `pool '${pool}' is being mounted by another process: see 'guestmemfs list'`
  // No lock is taken where /run is full: it only saves a search, and no guest's memory depends on it.
  const lock = takeLockIfRoom(lockPath(pool), inUse)
  try {
    return await mountLocked(pool, request, options, stored, waiting)
  } finally {
    if (lock !== undefined) close(lock)
  }
}

/** The caller holds the pool's mount lock. */
async function mountLocked(
  pool: string,
  request: MountRequest,
  options: MountOptions,
  stored: StoredPool | undefined,
  waiting: WaitingKeeper | undefined,
): Promise<Mounted> {
  const found = await findHolder(pool, stored, options)
  const lost = found !== undefined && 'lost' in found ? found.lost : undefined
  if (lost !== undefined) checkLost(lost, options)
  const holder = found === undefined || 'lost' in found ? undefined : found
  const wasLost = lost !== undefined && !isRegionKind(lost.source?.kind ?? options.store ?? DEFAULT_STORE)
  const isLive =
    holder?.role === 'server' ||
    (holder?.role === 'store' && stored?.isConnected === true) ||
    holder?.record.isGivenOver === true
  const isServed = isLive && isMountedHere(holder.record)
  const dead = lost && deadMount(lost)
  const mountPoint = checkMountPoint(request.mountPoint, pool, isServed ? holder.record : undefined, dead)
  const source = holder === undefined ? newSource(options, lost) : existingSource(holder.record, options)
  // The keeper and its servers have this process's pid namespace and /proc.
  if (isInRegion(source)) checkSeesHolders(source.kind)
  const { mountFlags, kernelOptions, rootDirectory, isNew, sessionFiles } = options
  const ready = await startKeeper(
    {
      version: CONTACT_VERSION,
      kind: 'mount',
      pool,
      mountPoint,
      deadMount: dead ?? null,
      source,
      mountFlags,
      kernelOptions,
      rootDirectory,
      isNew,
      sessionFiles,
      previousHolder: holder === undefined ? null : { role: holder.role, process: holder.process },
      requestedAtMs: Math.round(ownStartMs()),
    },
    waiting,
  )
  const { sizeBytes } = ready
  const anew = ready.isIncoming ? 'handed-over' : wasLost ? 'lost' : ready.isNew ? 'new' : 'found'
  const how = holder === undefined ? anew : holder.role === 'server' || isServed ? 'adopted' : 'found'
  return { pool, mountPoint, sizeBytes, how }
}

/**
 * `mount` replaces a pool of memfds that was lost with its processes only on request: the operator may have
 * guests to restore, or a cause to find. A region's memory has outlived its processes. Errors: UsageError.
 */
function checkLost({ pool, source }: Lost, { isNew, store }: MountOptions): void {
  const kind = source?.kind ?? store
  if (isNew || (kind !== undefined && isRegionKind(kind))) return
  // The remains do not show where its memory was.
  const region =
    source === undefined ? ', or say store= if it was in a region, whose memory is still there' : ''
  throw new UsageError(
    `the keeper and the server of pool '${pool}' have died, no other process holds its memory, and so it is lost: discard it with 'guestmemfs umount --discard ${pool}', or make a new pool at once with '-o new'${region}`,
  )
}

/**
 * Starts a keeper for a pool that was parked when its keeper died, and is in the service manager's store.
 * Errors: UsageError.
 */
export async function parkAgain({ pool, source }: PoolRecord, stored: StoredPool): Promise<void> {
  stored.becomeHolder()
  stored.closeConnection()
  const previousHolder = { role: 'store', process: stored.process } as const
  const hold = { version: CONTACT_VERSION, kind: 'hold', sessionFiles: SESSION_FILES } as const
  await startKeeper({ ...hold, pool, source, previousHolder })
}

/** `lost`: a pool whose processes have died. One in a region still exists, and its name means that one. */
function newSource(options: MountOptions, lost: Lost | undefined): MemorySource {
  const { store, region, sizeBytes, alignBytes } = options
  if (store === undefined && lost?.source !== undefined && isInRegion(lost.source))
    return existingSource(lost, options)
  return store !== undefined && isRegionKind(store)
    ? { kind: store, region: region ?? null, alignBytes: alignBytes ?? null }
    : { kind: DEFAULT_STORE, totalBlocks: choosePoolSize(sizeBytes) / BLOCK_BYTES, isNew: true }
}

/** Refuses options that differ from the pool that exists: the operator may mean another one. */
function existingSource(record: PoolRecord, options: MountOptions): MemorySource {
  const { pool, source, sizeBytes } = record
  const { store, sizeBytes: asked } = options
  const discard = `discard it with 'guestmemfs umount --discard ${pool}'`
  if (store !== undefined && store !== source.kind) {
    throw new UsageError(
      `pool '${pool}' exists with store=${source.kind}: mount it without store=, or ${discard}`,
    )
  }
  if (asked !== undefined && wholeBlocks(asked) !== sizeBytes) {
    const resize = isInRegion(source) ? '' : ", then 'mount -o remount,size='"
    throw new UsageError(
      `pool '${pool}' exists with ${formatSize(sizeBytes)}, not ${formatSize(asked)}: mount it without size=${resize}, or ${discard}`,
    )
  }
  return source
}

function checkMachine(): void {
  if (process.getuid?.() !== 0) throw new UsageError('mounting needs root: run it with sudo')
  if (!existsSync('/proc/meminfo'))
    throw new UsageError('/proc shows processes alone (subset=pid): mount all of it, as hosts have it')
  const release = kernelRelease()
  if (release.major < 6 || (release.major === 6 && release.minor < 9)) {
    throw new UsageError(
      `this kernel is ${release.text}: FUSE passthrough needs 6.9 or newer (see 'guestmemfs doctor')`,
    )
  }
  try {
    statSync('/dev/fuse')
  } catch {
    throw new UsageError("there is no /dev/fuse: load it with 'modprobe fuse' (see 'guestmemfs doctor')")
  }
}

/**
 * The mount point as the kernel will list it. `adopted`: the pool is still served, and mounted. `dead`: a
 * mount of this pool that no process serves, which the keeper unmounts.
 */
function checkMountPoint(
  path: string,
  pool: string,
  adopted: PoolRecord | undefined,
  dead: string | undefined,
): string {
  // Without a system call on the path itself, which would hang on a guestmemfs mount without a server.
  const unlooked = withRealParent(path)
  if (adopted !== undefined) {
    if (unlooked !== adopted.mountPoint) {
      throw new UsageError(
        `pool '${pool}' still serves ${adopted.mountPoint}, only its keeper died: mount it there`,
      )
    }
    return unlooked
  }
  if (unlooked === dead) return unlooked
  checkNotBusy(unlooked)
  let real: string
  try {
    real = realpathSync(unlooked)
    if (!statSync(real).isDirectory()) throw new UsageError(`mount point ${path} is not a directory`)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`mount point ${path} does not exist: make it with 'mkdir -p ${path}'`)
  }
  checkNotBusy(real)
  return real
}

/** The absolute path, symlinks resolved up to its last part, which is not accessed. */
function withRealParent(path: string): string {
  const absolute = resolve(path)
  try {
    return join(realpathSync(dirname(absolute)), basename(absolute))
  } catch {
    return absolute
  }
}

function checkNotBusy(mountPoint: string): void {
  const busy = mountTable().find((mount) => mount.target === mountPoint && mount.type === FUSE_TYPE)
  if (busy !== undefined)
    throw new UsageError(`${mountPoint} is busy: pool '${busy.source}' is mounted there; unmount it first`)
}
