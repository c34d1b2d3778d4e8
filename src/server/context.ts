/**
 * What an operation gets besides its request: the file system, its store, the kernel's view of both, and the
 * caller in the form that the file system takes. Must not: answer. An operation returns what a method of
 * `Reply` returned, or why it did nothing; dispatch.ts decides what follows from that.
 */
import type { FileSystem } from '../fs/file-system.ts'
import type { Inode, Timestamp } from '../fs/state/inode.ts'
import type { Caller } from '../fs/state/volume.ts'
import type { OPCODES, RequestOf } from '../fuse/opcodes.ts'
import type { Answered, Reply } from '../fuse/replies.ts'
import type { HandledRequest } from '../fuse/session.ts'
import type { Store } from '../stores/store.ts'
import { Errno, ESTALE } from '../values/errno.ts'
import type { NodeId } from '../values/ids.ts'
import type { Refusal } from '../values/refusal.ts'
import type { AccessTimes } from './access-times.ts'
import { DeferredEvictions } from './deferred-evictions.ts'
import type { KernelView, KnownInode } from './kernel-view.ts'
import type { ParkedRequests } from './parked-requests.ts'
import type { RuntimeArea } from './runtime-area.ts'

export type HandledOpcode = HandledRequest['opcode']

/**
 * The requests that change the file system. A server may die before it has answered one: `answerAgain` has an
 * answer for each, which the compiler checks.
 */
export type ChangingOpcode =
  | 'SETATTR'
  | 'SYMLINK'
  | 'MKNOD'
  | 'MKDIR'
  | 'UNLINK'
  | 'RMDIR'
  | 'RENAME'
  | 'RENAME2'
  | 'LINK'
  | 'WRITE'
  | 'CREATE'
  | 'FALLOCATE'
  | 'SETXATTR'
  | 'REMOVEXATTR'

/**
 * The outcome of a request that has a reply: the operation filled the reply, or refused the request and left
 * the reply empty.
 */
export type Outcome = Answered | Refusal

/** Carries out one request. FORGET, BATCH_FORGET and INTERRUPT have no reply, and no outcome. */
export type Operation<O extends HandledOpcode> = (typeof OPCODES)[O]['answered'] extends true
  ? (context: Context, request: RequestOf<O>, reply: Reply) => Outcome
  : (context: Context, request: RequestOf<O>) => undefined
export type Operations = { readonly [O in HandledOpcode]: Operation<O> }

export class Context {
  readonly fs: FileSystem
  readonly store: Store
  readonly kernel: KernelView
  readonly evictions: DeferredEvictions
  readonly parked: ParkedRequests
  readonly #runtime: RuntimeArea
  readonly #accessTimes: Pick<AccessTimes, 'rules'> | undefined

  constructor(parts: {
    fs: FileSystem
    store: Store
    kernel: KernelView
    parked: ParkedRequests
    runtime: RuntimeArea
    /** undefined: access times stay as they are. */
    accessTimes?: Pick<AccessTimes, 'rules'>
  }) {
    this.fs = parts.fs
    this.store = parts.store
    this.kernel = parts.kernel
    this.parked = parts.parked
    this.#runtime = parts.runtime
    this.#accessTimes = parts.accessTimes
    this.evictions = new DeferredEvictions(this.fs, this.kernel, () => this.internal)
  }

  /** The caller of `request`, and the time. */
  caller({ header }: Pick<HandledRequest, 'header'> & { readonly opcode: ChangingOpcode }): Caller {
    const { unique, uid, gid } = header
    return { origin: { unique, epoch: this.#runtime.epoch }, uid, gid, now: wallClock() }
  }

  /** The origin of what the server does by itself: no request carries it. */
  get internal(): Caller {
    return { origin: { unique: 0n, epoch: this.#runtime.epoch }, uid: 0, gid: 0, now: wallClock() }
  }

  /** Records that a request has read the contents of `inode`, by the mount's rule for access times. */
  accessed({ ino, kind }: Inode): void {
    const rule = this.#accessTimes?.rules[kind === 'directory' ? kind : 'other']
    if (rule !== undefined) this.fs.accessed(this.internal, ino, rule)
  }

  /** ESTALE: the inode is gone, or no reply has shown it to the kernel as what the id stands for. */
  resolve(nodeId: NodeId): KnownInode | Errno {
    const known = this.kernel.resolve(nodeId)
    if (known instanceof Errno || known.as === 'file') return known
    return this.store.ram.via === 'dax-node' && known.inode.kind === 'file' ? known : ESTALE
  }
}

/**
 * CLOCK_REALTIME to the millisecond, read anew each time, so that it follows when the host's clock is set.
 */
export function wallClock(): Timestamp {
  const milliseconds = Date.now()
  const seconds = Math.floor(milliseconds / 1000)
  return { seconds, nanoseconds: (milliseconds - seconds * 1000) * 1_000_000 }
}
