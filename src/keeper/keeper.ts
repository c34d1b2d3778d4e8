/**
 * Owns one pool's life: it holds every descriptor, keeps a server running, and decides what happens when the
 * server ends. It must never touch its own mount: while no server answers, that would block the one process
 * that can start one (docs/deadlocks.md).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { close, raiseDescriptorLimit } from '../linux/descriptors.ts'
import { openFuseDevice } from '../linux/fuse-device.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { FUSE_TYPE, mountFuse, mountTable, unmount } from '../linux/mount.ts'
import { setOomScore } from '../linux/process.ts'
import { type PoolRecord, removePoolRecord, writePoolRecord } from '../run/pool-record.ts'
import { identify, identifySelf, type ProcessIdentity } from '../run/process-identity.ts'
import { lockRegion } from '../run/region-lock.ts'
import type { MemorySource } from '../server/messages.ts'
import { findRegion } from '../stores/registry.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { errorText, UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { type Areas, makeRuntime } from './areas.ts'
import type { KeeperOptions } from './contact.ts'
import { FdStoreMirror } from './fdstore/mirror.ts'
import type { KeeperLog } from './log.ts'
import { PoolSessions } from './luo/sessions.ts'
import type { MemfdTable } from './memfd-table.ts'
import { type OpenedPool, openPool, unusableUnless } from './open-pool.ts'
import { type ServerEnd, ServerProcess } from './server-process.ts'
import { killHolder, resumeHolder } from './takeover/holder-process.ts'

/**
 * A server that served is replaced at once: guests' new opens are waiting. One that does not even get that far is
 * tried again ever more slowly, and never given up, because without a server the mount hangs.
 */
const MAX_BACKOFF_MS = 1000
/** A server that ends by itself, again and again, must neither fill the log nor the processors. */
const CRASH_PAUSE_MS = 100

export class Keeper {
  readonly #options: KeeperOptions
  readonly #log: KeeperLog
  readonly #memfds: MemfdTable
  readonly #sessions: PoolSessions
  readonly #backup: FdStoreMirror
  #source: MemorySource
  readonly #self: ProcessIdentity
  #areas: Areas
  #fuse: Fd | undefined
  #server: ServerProcess | undefined
  #restarts = 0
  /** The last server ended by itself: the request it was at may be why. */
  #isCrashed = false
  #totalBlocks = 0
  #isNew = false

  private constructor(options: KeeperOptions, { handles, source }: OpenedPool, log: KeeperLog) {
    this.#options = options
    this.#source = source
    this.#log = log
    this.#self = identifySelf()
    this.#areas = handles.areas
    this.#memfds = handles.memfds
    this.#fuse = handles.fuse
    this.#backup = new FdStoreMirror(handles.memfds, (line) => log.event(line))
    const { pool, sessionFiles } = options
    this.#sessions = new PoolSessions({
      pool,
      sessionFiles,
      handles,
      totalBlocks: () => this.#totalBlocks,
      log,
    })
  }

  /** Comes by the pool's memory. Errors: UsageError; StrandedError, then this process is what keeps it. */
  static async make(options: KeeperOptions, log: KeeperLog): Promise<Keeper> {
    raiseDescriptorLimit()
    setOomScore(process.pid, -1000)
    const beginning = await openPool(options)
    const make = () => new Keeper(options, beginning, log)
    const isAlone = beginning.handles.luoState.kind === 'incoming' && options.predecessor === null
    return isAlone ? unusableUnless(options.pool, make) : make()
  }

  /** The pool came from the former kernel: memory that nobody else holds. */
  /** Whether the pool is made just now. Known once it serves. */
  get isNew(): boolean {
    return this.#isNew
  }

  get isArriving(): boolean {
    return this.#options.predecessor === null && this.#sessions.isIncoming
  }

  /** Resolves when the mount serves. Rejects with a UsageError when it cannot; the former holder, if any, still holds everything. */
  async start(): Promise<void> {
    try {
      await this.#takeOver()
    } catch (error) {
      if (this.#options.predecessor !== null) resumeHolder(this.#options.predecessor)
      throw error
    }
  }

  async #takeOver(): Promise<void> {
    const { predecessor, mountPoint } = this.#options
    const source = this.#source
    const isLive = this.#fuse !== undefined
    // A region's memory needs nobody to hold it, but only one who claims it.
    if (isLive && predecessor !== null && source.kind !== 'memfd') killHolder(predecessor)
    if (!isLive) this.#areas = { ...this.#areas, runtime: makeRuntime() }
    if (source.kind !== 'memfd') lockRegion(findRegion(source))
    const server = await this.#startServer(source)
    // Two servers on one connection would answer in turns: the old one ends before the new one reads.
    if (isLive && predecessor !== null) killHolder(predecessor)
    if (!isLive) {
      try {
        this.#fuse = this.#mount()
      } catch (error) {
        server.kill()
        throw error
      }
    }
    this.#serve(server)
    this.#sessions.retrieve()
    if (!isLive && predecessor !== null) killHolder(predecessor)
    const was = { isNew: predecessor === null, isConnected: isLive }
    this.#backup.mounted(this.#areas, this.#fuse as Fd, was)
    this.#log.event(`${isLive ? 'taken over' : 'mounted'} on ${mountPoint}`, {
      sizeBytes: this.sizeBytes,
    })
    this.#writeRecord('mounted')
  }

  /** Runs until the pool is unmounted. Resolves 'ended' when nothing is left to hold, 'parked' when the memory must stay. */
  async run(): Promise<'parked' | 'ended'> {
    for (;;) {
      const server = this.#server as ServerProcess
      const ended = await server.end
      if (ended.kind === 'unmounted') return await this.#unmounted(ended.isHeld)
      this.#restarts++
      // Whoever is killed from outside did nothing wrong; whoever ends by itself may do so again at once.
      this.#isCrashed = !(ended.kind === 'died' && ended.how === 'SIGKILL')
      this.#log.event(`server ${server.pid} ${describe(ended)}; starting it again`, {
        restarts: this.#restarts,
      })
      if (this.#isCrashed) await sleep(CRASH_PAUSE_MS)
      await this.#restart()
    }
  }

  async #restart(): Promise<void> {
    for (let backoffMs = 10; ; backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
      try {
        this.#serve(await this.#startServer(reopened(this.#source)))
        break
      } catch (error) {
        this.#log.event(`the server could not be started: ${errorText(error)}`)
        await sleep(backoffMs)
      }
    }
    // Not among what is tried again: a second server on the same connection would be the end of the pool.
    this.#writeRecord('mounted')
  }

  /** A server that has read the image. Throws UsageError when the image is refused. */
  async #startServer(source: MemorySource): Promise<ServerProcess> {
    const server = new ServerProcess(this.#memfds, this.#log.fd, this.#sessions)
    this.#server = server
    const { pool } = this.#options
    const opening = server.open(pool, source, this.#areas)
    this.#sessions.attach(server)
    const opened = await opening
    if (opened.kind === 'opened') {
      this.#totalBlocks = opened.totalBlocks
      this.#isNew = opened.isNew
      this.#unpacked()
      return server
    }
    throw new UsageError(
      opened.kind === 'refused'
        ? `pool '${pool}': ${opened.reason}`
        : `pool '${pool}': its server ${describe(opened)}`,
    )
  }

  /** The pool has an image: what it was made of is not needed any more. */
  #unpacked(): void {
    const { packed, ...rest } = this.#areas
    if (packed === undefined) return
    close(packed)
    this.#areas = rest
  }

  /** A server that serves holds everything, too: this process may go, and another take its place. */
  get isDispensable(): boolean {
    return this.#fuse !== undefined && this.#server !== undefined && !this.#sessions.isIncoming
  }

  get sizeBytes(): number {
    return this.#totalBlocks * BLOCK_BYTES
  }

  #serve(server: ServerProcess): void {
    if (this.#fuse === undefined) throw new UsageError(`pool '${this.#options.pool}' has no connection`)
    const { mountPoint, askedAtMs } = this.#options
    const [restarts, isCrashed] = [this.#restarts, this.#isCrashed]
    server.serve({ fuse: this.#fuse, restarts, isCrashed, askedAtMs, mountPoint })
  }

  #mount(): Fd {
    const { pool, mountPoint, mountFlags } = this.#options
    const fuse = openFuseDevice()
    const options = ['allow_other', 'default_permissions']
    const failed = mountFuse({ fuseFd: fuse, source: pool, target: mountPoint, flags: mountFlags, options })
    if (failed === undefined) return fuse
    close(fuse)
    throw new UsageError(`mounting on ${mountPoint} failed (${failed}): see dmesg`)
  }

  async #unmounted(isHeld: boolean): Promise<'parked' | 'ended'> {
    const { pool, mountPoint } = this.#options
    if (this.#fuse !== undefined) close(this.#fuse)
    this.#fuse = undefined
    this.#server = undefined
    this.#sessions.detach()
    // An aborted connection leaves its mount behind, answering ENOTCONN to everybody: take it away.
    const left = mountTable().some(
      (mount) => mount.source === pool && mount.target === mountPoint && mount.type === FUSE_TYPE,
    )
    if (left) unmount(mountPoint, { lazy: true })
    this.#backup.unmounted()
    if (!isHeld) {
      removePoolRecord(pool)
      this.#log.event(`unmounted from ${mountPoint}, nothing to hold: ended`)
      await this.#backup.ended()
      return 'ended'
    }
    this.#writeRecord('parked')
    this.#log.event(`unmounted from ${mountPoint}, parked: mount it again to find its files, or discard it`)
    return 'parked'
  }

  /** It is not mounted, and this process has its only memory: it stays until the next mount takes that over, or it is discarded. */
  park(): void {
    this.#server = undefined
    if (this.#source.kind === 'memfd') this.#totalBlocks = this.#source.totalBlocks
    this.#writeRecord('parked')
  }

  /** A record that cannot be written (a full /run) leads to nobody; dying of it would take the memory along. */
  #writeRecord(state: PoolRecord['state']): void {
    try {
      writePoolRecord(this.#recordOf(state))
    } catch (error) {
      this.#log.event(
        `the pool's record could not be written (${errnoOfNodeError(error)}): nobody will find this keeper`,
      )
    }
  }

  #recordOf(state: PoolRecord['state']): PoolRecord {
    const { pool, mountPoint } = this.#options
    const source = this.#source
    const server = this.#server === undefined ? null : (identify(this.#server.pid) ?? null)
    return {
      pool,
      source: reopened(source),
      sizeBytes: this.sizeBytes,
      state,
      mountPoint: state === 'parked' ? null : mountPoint,
      keeper: this.#self,
      server,
    }
  }
}

/** A pool of memfds is new only once, and what a mount says of pages is said once. */
const reopened = (source: MemorySource): MemorySource =>
  source.kind === 'memfd' ? { ...source, isNew: false } : { ...source, alignBytes: null }

const describe = (ended: ServerEnd): string => {
  switch (ended.kind) {
    case 'died':
      return `died (${ended.how})`
    case 'refused':
      return `refused its image: ${ended.reason}`
    case 'unmounted':
      return 'saw the pool unmounted'
  }
}
