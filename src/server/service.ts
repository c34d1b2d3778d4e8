/**
 * Owns what every operation of one connection works with, and how results become replies: an `Errno` is
 * answered as it is, an inode as its entry or attributes.
 */

import type { FileSystem } from '../fs/file-system.ts'
import type { Inode } from '../fs/state/inode.ts'
import type { Request } from '../fs/state/volume.ts'
import { FOPEN } from '../fuse/constants.ts'
import type { RequestOf } from '../fuse/opcodes.ts'
import type { Attributes, EntryReply, OpenReply, Reply } from '../fuse/replies.ts'
import type { HandledRequest } from '../fuse/session.ts'
import type { NodeRam, Store } from '../stores/store.ts'
import { EMFILE, ENOSPC, Errno } from '../values/errno.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import type { NodeId, ObjectId } from '../values/ids.ts'
import { Refusal, WAIT_FOR_STORE, Wait } from '../values/refusal.ts'
import { attributesOf, linkAttributesOf } from './attributes.ts'
import { wallClock } from './clock.ts'
import { DeferredEvictions } from './deferred-evictions.ts'
import { type KernelView, type KnownInode, nodeIdOf } from './kernel-view.ts'
import type { Form } from './runtime-area.ts'

export type HandledOpcode = HandledRequest['opcode']
export type Operation<O extends HandledOpcode> = (
  service: Service,
  request: RequestOf<O>,
  reply: Reply,
) => void
export type Operations = { readonly [O in HandledOpcode]: Operation<O> }

/**
 * Nothing changes but through this mount, and the kernel drops what its own operations outdate: what it was told
 * stays true. A day, as libfuse's passthrough examples have it with `cache=always`.
 */
export const VALID_SECONDS = 86_400

export class Service {
  readonly fs: FileSystem
  readonly kernel: KernelView
  readonly store: Store
  readonly evictions: DeferredEvictions
  /** The kernel no longer waits for this request, if it waits for anything. */
  readonly interrupt: (unique: bigint) => void
  readonly #epoch: () => number
  #isWaiting = false
  /** Room that was to come has had its time: a full pool is answered as one. */
  isLastTry = false

  /** `epoch`: of the connection, known once INIT was answered. */
  constructor(options: {
    fs: FileSystem
    store: Store
    kernel: KernelView
    epoch: () => number
    interrupt: (unique: bigint) => void
  }) {
    this.fs = options.fs
    this.kernel = options.kernel
    this.store = options.store
    this.#epoch = options.epoch
    this.interrupt = options.interrupt
    this.evictions = new DeferredEvictions(this.fs, this.kernel, () => this.ownWork)
  }

  /** Who asks, as the file system wants to know it. */
  asked({ header }: Pick<HandledRequest, 'header'>): Request {
    const { unique, uid, gid } = header
    return { origin: { unique, epoch: this.#epoch() }, uid, gid, now: wallClock() }
  }

  /** The origin of what the server does by itself: no request carries it. */
  get ownWork(): Request {
    return { origin: { unique: 0n, epoch: this.#epoch() }, uid: 0, gid: 0, now: wallClock() }
  }

  /**
   * Answers with an error, unless asking again later may do better: slow work was begun, or the pool is full (or there are
   * no more descriptors) while unlinked files still own blocks. The kernel says that it has forgotten a file some time after
   * unlink(2) has returned (FORGET is queued, fs/fuse/inode.c), and whoever deletes a file to make room must find it.
   */
  refuse(refusal: Refusal, reply: Reply): void {
    if (refusal instanceof Wait || this.#isRoomToCome(refusal)) this.#isWaiting = true
    else reply.error(refusal)
  }

  #isRoomToCome(errno: Errno): boolean {
    return (errno === ENOSPC || errno === EMFILE) && !this.isLastTry && this.fs.orphanCount > 0
  }

  get isWaiting(): boolean {
    return this.#isWaiting
  }

  /** Whether the operation that just returned has to be asked again. Asking forgets it. */
  takeWaiting(): boolean {
    const isWaiting = this.#isWaiting
    this.#isWaiting = false
    return isWaiting
  }

  /** How the kernel is shown an inode from now on. */
  present(inode: Inode): KnownInode {
    return { inode, form: inode.guestRam && this.store.ram.via === 'dax-node' ? 'link' : 'file' }
  }

  /** Runs `work` on the inode that `nodeId` stands for; answers for it when there is none. */
  withInode(nodeId: NodeId, reply: Reply, work: (inode: Inode, form: Form) => void): void {
    const known = this.kernel.resolve(nodeId)
    if (known instanceof Errno) this.refuse(known, reply)
    else work(known.inode, known.form)
  }

  /** For what succeeds without a value. */
  answerDone(result: Refusal | undefined, reply: Reply): void {
    if (result === undefined) reply.empty()
    else this.refuse(result, reply)
  }

  answerAttributes(result: Inode | Refusal, form: Form, reply: Reply): void {
    if (result instanceof Refusal) this.refuse(result, reply)
    else reply.attr(this.attributesOf({ inode: result, form }), VALID_SECONDS)
  }

  /** An entry is a lookup: the kernel will forget it as often as it got it. */
  answerEntry(result: Inode | Refusal, reply: Reply): void {
    if (result instanceof Refusal) {
      this.refuse(result, reply)
    } else {
      const shown = this.present(result)
      this.kernel.stageLookup(shown)
      reply.entry(this.entryOf(shown))
    }
  }

  entryOf(shown: KnownInode): EntryReply {
    const { inode, form } = shown
    return {
      nodeid: nodeIdOf(inode, form),
      generation: inode.generation,
      entryValidSeconds: this.#mayChangeForm(inode) ? 0 : VALID_SECONDS,
      attrValidSeconds: VALID_SECONDS,
      attributes: this.attributesOf(shown),
    }
  }

  /** An empty file may become guest RAM, and guest RAM empty: where that is another node id, names are asked for each time. */
  #mayChangeForm({ kind, guestRam, sizeBytes }: Inode): boolean {
    return this.store.ram.via === 'dax-node' && kind === 'file' && (guestRam || sizeBytes === 0)
  }

  attributesOf({ inode, form }: KnownInode): Attributes {
    return form === 'file' ? attributesOf(inode) : linkAttributesOf(inode, this.targetOf(inode).length)
  }

  /** Of a store that shows guest RAM as symlinks. */
  get nodes(): NodeRam {
    const { ram } = this.store
    if (ram.via !== 'dax-node')
      throw new BrokenInvariantError(`guest RAM is mapped via ${ram.via}, without nodes`)
    return ram
  }

  /** Where a symlink points: guest RAM shown as one points at the node that maps it. */
  targetOf(inode: Inode): string {
    return this.nodes.path(memoryOf(inode))
  }

  /**
   * How a file is opened, for life: mmap reaches the memory itself, read and write come to us, and closing needs
   * no FLUSH, which would hang a killed process while no server answers. Mixed modes on one inode fail. A memory
   * no FUSE file can carry is opened for read and write alone: its mmap is a clean ENODEV.
   */
  openReplyOf(inode: Inode): OpenReply | Refusal {
    const object = memoryOf(inode)
    const flags = FOPEN.DIRECT_IO | FOPEN.NOFLUSH
    const { ram } = this.store
    if (ram.via !== 'passthrough') return { fh: 0n, flags }
    const state = this.store.state(object)
    if (state === 'incoming') return WAIT_FOR_STORE
    // It can be emptied, which gives it a memory again; reading it is EIO, and mapping it ENODEV.
    if (state === 'lost') return { fh: 0n, flags }
    const backingId = this.kernel.backingId(inode.ino, () => {
      const mapping = ram.mapping(object, inode)
      if (mapping.via !== 'passthrough')
        throw new BrokenInvariantError(`memory object ${object} has no backing file`)
      return mapping.fd
    })
    return backingId instanceof Errno ? backingId : { fh: 0n, flags: flags | FOPEN.PASSTHROUGH, backingId }
  }
}

const memoryOf = ({ ino, object }: Inode): ObjectId => {
  if (object === undefined) throw new BrokenInvariantError(`inode ${ino} has no memory`)
  return object
}
