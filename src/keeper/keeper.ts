/**
 * The keeper of one pool: it holds every descriptor, keeps a server running, and decides what happens when
 * the server ends. It must never touch its own mount: while no server answers, that would block the one
 * process that can start one (docs/internals/deadlocks.md).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { close, hasHungUp, raiseDescriptorLimit } from '../linux/descriptors.ts'
import { unmount } from '../linux/mounts.ts'
import { logPath, type PoolRecord, removePoolRecord } from '../run/pool-record.ts'
import { identify, identifySelf } from '../run/process-identity.ts'
import { type MemorySource, reopened } from '../server/messages.ts'
import { findRegion } from '../stores/registry.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { errorText, UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { isInRegion } from '../values/store-kinds.ts'
import { type Areas, makeRuntime } from './areas.ts'
import type { KeeperMountOptions, KeeperOptions, PreviousHolder } from './contact.ts'
import { FdStoreMirror } from './fdstore/mirror.ts'
import { connectionOf, mountConnection, unmountAborted } from './fuse-connection.ts'
import type { KeeperLog } from './log.ts'
import { PoolSessions } from './luo/sessions.ts'
import type { MemfdTable } from './memfd-table.ts'
import { type OpenedPool, openPool, unusableUnless } from './open-pool.ts'
import { checkOwnFiles, mountWithNewFiles, ReplacedError } from './own-version.ts'
import { recordPool } from './record-pool.ts'
import { ServerHistory } from './server-history.ts'
import { comeForward } from './server-nice.ts'
import { describeServerEnd, type FirstOrder, ServerProcess, whyPoolNotOpened } from './server-process.ts'
import { findOwner } from './takeover/find-owner.ts'
import { killHolder, openHolder, resumeHolder } from './takeover/holder-process.ts'
import { takeRegionLocks } from './takeover/take-region-lock.ts'

/**
 * A server that served is replaced at once, because callers of open(2) wait. One that ends before it serves
 * is started again after longer and longer pauses, without an end, as the mount hangs without a server.
 */
const MAX_BACKOFF_MS = 1000
/** A server that ends by itself, again and again, must fill neither the log nor the processors. */
const CRASH_PAUSE_MS = 100

export class Keeper {
  readonly #pool: string
  readonly #previousHolder: PreviousHolder | null
  readonly #log: KeeperLog
  readonly #memfds: MemfdTable
  readonly #sessions: PoolSessions
  readonly #fdStore: FdStoreMirror
  #source: MemorySource
  readonly #self = identifySelf()
  #areas: Areas
  #fuse: Fd | undefined
  #server: ServerProcess | undefined
  readonly #history = new ServerHistory()
  #totalBlocks = 0
  #isNew = false
  #connection: number | undefined

  private constructor(options: KeeperOptions, { handles, source }: OpenedPool, log: KeeperLog) {
    const { pool, sessionFiles, previousHolder } = options
    this.#pool = pool
    this.#previousHolder = previousHolder
    this.#source = source
    this.#log = log
    this.#areas = handles.areas
    this.#memfds = handles.memfds
    this.#fuse = handles.fuse
    this.#fdStore = new FdStoreMirror(handles.memfds, (line) => log.event(line))
    const totalBlocks = () => this.#totalBlocks
    this.#sessions = new PoolSessions({ pool, sessionFiles, handles, totalBlocks, log })
  }

  /** Errors: UsageError; UnusableHandoverError: this process alone holds what the former kernel preserved. */
  static async make(options: KeeperOptions, log: KeeperLog): Promise<Keeper> {
    raiseDescriptorLimit()
    const opened = await openPool(options)
    const make = () => new Keeper(options, opened, log)
    const isAlone = opened.handles.luoState.kind === 'incoming' && options.previousHolder === null
    return isAlone ? unusableUnless(options.pool, make) : make()
  }

  /** This mount made the pool. Known once it serves. */
  get isNew(): boolean {
    return this.#isNew
  }

  /** The former kernel handed the pool over: no other process holds its memory. */
  get isIncoming(): boolean {
    return this.#previousHolder === null && this.#sessions.isIncoming
  }

  /**
   * Resolves when the mount serves. Rejects with a UsageError when it cannot; the previous holder, if any,
   * still holds everything.
   */
  async start(options: KeeperMountOptions): Promise<void> {
    try {
      await this.#takeOver(options)
    } catch (error) {
      if (this.#previousHolder !== null) resumeHolder(this.#previousHolder)
      throw error
    }
  }

  async #takeOver(options: KeeperMountOptions): Promise<void> {
    const previousHolder = this.#previousHolder
    const source = this.#source
    const isLive = this.#fuse !== undefined
    const pidfd = previousHolder === null ? undefined : openHolder(previousHolder)
    const endPrevious = async (): Promise<void> => {
      if (previousHolder !== null && pidfd !== undefined) await killHolder(previousHolder, pidfd, this.#log)
    }
    if (!isLive) this.#areas = { ...this.#areas, runtime: makeRuntime() }
    if (isInRegion(source))
      this.#areas = { ...this.#areas, regionLocks: takeRegionLocks(findRegion(source), previousHolder) }
    const isServed = isLive && previousHolder?.role !== 'store'
    const more = isLive ? { isServed } : { rootDirectory: options.rootDirectory }
    const server = await this.#startServer(source, more)
    comeForward() // before there is a mount, on which a process could wait for the server
    // Two servers on one connection would each read some of the requests: the old one must end before the new
    // one reads.
    if (isLive) await endPrevious()
    if (!isLive) {
      try {
        this.#fuse = mountConnection(options)
      } catch (error) {
        server.kill()
        throw error
      }
    }
    this.#connection = connectionOf(this.#pool, options.mountPoint)
    this.#serve(server, options)
    this.#sessions.retrieve()
    if (!isLive) await endPrevious()
    const owner = previousHolder !== null && (await findOwner(server, previousHolder.process.pid))
    if (owner) {
      if (!isLive) unmount(options.mountPoint, { lazy: true })
      throw new UsageError(
        `pool '${this.#pool}' was taken over by another keeper: process ${owner} serves it`,
      )
    }
    const was = { isNew: previousHolder === null, isConnected: isLive }
    this.#fdStore.mounted(this.#areas, this.#fuse as Fd, was)
    const how = isLive ? 'taken over' : 'mounted'
    this.#log.event(`${how} on ${options.mountPoint}`, { sizeBytes: this.sizeBytes })
    this.#writeRecord(options.mountPoint)
  }

  /**
   * Runs until the pool that `start` mounted is unmounted. Resolves 'ended' when nothing is left to hold,
   * 'parked' when the memory must stay.
   */
  async run(options: KeeperMountOptions): Promise<'parked' | 'ended'> {
    for (;;) {
      const server = this.#server as ServerProcess
      const ended = await server.end
      if (ended.kind === 'unmounted') return await this.#unmounted(options.mountPoint, ended.isHeld)
      this.#history.ended(ended)
      this.#log.event(`server ${server.pid} ${describeServerEnd(ended)}; starting it again`, {
        restarts: this.#history.restarts,
      })
      if (this.#history.isCrashed) await sleep(CRASH_PAUSE_MS)
      if (!(await this.#restart(options))) return await this.#unmounted(options.mountPoint, true)
    }
  }

  /** False: the connection has ended while there was no server to report it. */
  async #restart(options: KeeperMountOptions): Promise<boolean> {
    for (let backoffMs = 10; ; backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
      try {
        this.#serve(await this.#startServer(reopened(this.#source)), options)
        break
      } catch (error) {
        this.#log.event(`the server could not be started: ${errorText(error)}`)
        if (error instanceof ReplacedError) await this.#mountWithNewFiles(options.mountPoint)
        if (this.#fuse !== undefined && hasHungUp(this.#fuse)) return false
        await sleep(backoffMs)
      }
    }
    // Not in the loop: a retry would start a second server on this connection, which would damage the pool.
    this.#writeRecord(options.mountPoint)
    return true
  }

  async #mountWithNewFiles(mountPoint: string): Promise<void> {
    this.#server = undefined
    this.#writeRecord(mountPoint, { isGivenOver: true })
    this.#log.event(await mountWithNewFiles(this.#pool, mountPoint, this.#log.fd))
  }

  /**
   * Resolves with a server that has read the image. Where a poisoned page of the image ended the server, this
   * starts another, which looks for poisoned pages first. Throws UsageError when the image is refused.
   */
  async #startServer(source: MemorySource, more: FirstOrder = {}): Promise<ServerProcess> {
    checkOwnFiles()
    const server = new ServerProcess(this.#memfds, this.#log.fd, this.#sessions)
    this.#server = server
    const [pool, { mayHaveLostPages }] = [this.#pool, this.#history]
    const opening = server.open({ pool, source, mayHaveLostPages, ...more }, this.#areas)
    this.#sessions.attach(server)
    const opened = await opening
    if (opened.kind === 'opened') {
      const { totalBlocks, isNew } = opened
      this.#totalBlocks = totalBlocks
      this.#isNew = isNew
      if (!isInRegion(source)) this.#source = { ...source, totalBlocks }
      this.#unpacked()
      this.#history.hasReadImage()
      return server
    }
    this.#history.endedEarly(opened)
    if (this.#history.mayHaveLostPages && !mayHaveLostPages) return await this.#startServer(source, more)
    throw new UsageError(`pool '${pool}': ${whyPoolNotOpened(opened, logPath(pool))}`)
  }

  /** The server has made the image: the packed one is not needed any more. */
  #unpacked(): void {
    const { packed, ...rest } = this.#areas
    if (packed === undefined) return
    close(packed)
    this.#areas = rest
  }

  /**
   * A server that serves holds everything, too: this process may end, and another keeper take its place. One
   * that has not sent `serving` may not have all of it yet, and one that has ended holds nothing.
   */
  get isDispensable(): boolean {
    return this.#fuse !== undefined && this.#server?.isHolder === true && !this.#sessions.isIncoming
  }

  get sizeBytes(): number {
    return this.#totalBlocks * BLOCK_BYTES
  }

  #serve(server: ServerProcess, { mountPoint, requestedAtMs }: KeeperMountOptions): void {
    if (this.#fuse === undefined) throw new UsageError(`pool '${this.#pool}' has no connection`)
    const { restarts, isCrashed } = this.#history
    const endedPid = this.#previousHolder?.process.pid ?? null
    server.onResized((totalBlocks) => this.#resized(totalBlocks, mountPoint))
    server.serve({ fuse: this.#fuse, restarts, isCrashed, askedAtMs: requestedAtMs, mountPoint, endedPid })
  }

  #resized(totalBlocks: number, mountPoint: string): void {
    if (isInRegion(this.#source) || totalBlocks === this.#totalBlocks) return
    this.#totalBlocks = totalBlocks
    this.#source = { ...this.#source, totalBlocks }
    this.#log.event(`the pool has another size`, { sizeBytes: this.sizeBytes })
    this.#writeRecord(mountPoint)
  }

  async #unmounted(mountPoint: string, isHeld: boolean): Promise<'parked' | 'ended'> {
    const pool = this.#pool
    if (this.#fuse !== undefined) close(this.#fuse)
    this.#fuse = undefined
    this.#server = undefined
    this.#sessions.detach()
    unmountAborted({ pool, mountPoint })
    this.#fdStore.unmounted()
    if (!isHeld) {
      this.#log.event(`unmounted from ${mountPoint}, nothing to hold: ended`)
      // Closed, because without a record the next mount searches all processes for the image.
      for (const fd of this.#areas.memfd ?? []) close(fd)
      await this.#fdStore.ended()
      removePoolRecord(pool)
      return 'ended'
    }
    this.#writeRecord(null)
    this.#log.event(`unmounted from ${mountPoint}, parked: mount it again to find its files, or discard it`)
    return 'parked'
  }

  /** Not mounted: this process alone holds the memory until a mount takes it over, or `umount --discard`. */
  park(): void {
    this.#server = undefined
    if (!isInRegion(this.#source)) this.#totalBlocks = this.#source.totalBlocks
    this.#writeRecord(null)
  }

  /** `mountPoint`: null when parked. */
  #writeRecord(mountPoint: string | null, more: Pick<PoolRecord, 'isGivenOver'> = {}): void {
    recordPool({ ...this.#recordOf(mountPoint), ...more }, this.#log)
  }

  #recordOf(mountPoint: string | null): PoolRecord {
    const server = (this.#server && identify(this.#server.pid)) ?? null
    return {
      pool: this.#pool,
      source: reopened(this.#source),
      sizeBytes: this.sizeBytes,
      state: mountPoint === null ? 'parked' : 'mounted',
      mountPoint,
      ...(mountPoint !== null && this.#connection !== undefined && { connection: this.#connection }),
      keeper: this.#self,
      server,
    }
  }
}
