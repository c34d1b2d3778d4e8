/**
 * The parts of replies that show the kernel an inode: as a file or a symlink, its entry, its attributes, how
 * it is opened. Must not: change files. Of these, `answerEntry` and `answerCreated` stage a lookup.
 */
import { type Inode, objectOf } from '../fs/state/inode.ts'
import { FOPEN } from '../fuse/constants.ts'
import type { Answered, Attributes, EntryReply, OpenReply, Reply } from '../fuse/replies.ts'
import type { NodeRam } from '../stores/store.ts'
import { Errno } from '../values/errno.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import { type Refusal, WAIT_FOR_STORE } from '../values/refusal.ts'
import type { Context } from './context.ts'
import { attributesOf, linkAttributesOf } from './inode-attributes.ts'
import { type KnownInode, nodeIdOf } from './kernel-view.ts'
import type { ShownAs } from './runtime-area.ts'

/**
 * Files change through this mount alone, and the kernel drops what its own operations change, so what it has
 * cached stays valid. A day, as libfuse's passthrough examples have it with `cache=always`.
 */
export const VALID_SECONDS = 86_400

/** Whether a reply shows the inode to the kernel as a file or as a symlink. */
export function shownAs({ store }: Context, inode: Inode): ShownAs {
  return inode.guestRam && store.ram.via === 'dax-node' ? 'symlink' : 'file'
}

/** Each entry counts as a lookup, which the kernel's FORGET subtracts again. */
export function answerEntry(context: Context, inode: Inode, reply: Reply): Answered {
  const known = { inode, as: shownAs(context, inode) }
  context.kernel.stageLookup(known)
  return reply.entry(entryOf(context, known))
}

/** The reply to CREATE: the entry of the new file, and its opening as `openReplyOf` made it. */
export function answerCreated(context: Context, inode: Inode, open: OpenReply, reply: Reply): Answered {
  const known = { inode, as: shownAs(context, inode) }
  context.kernel.stageLookup(known)
  return reply.create(entryOf(context, known), open)
}

export function answerAttributes(context: Context, known: KnownInode, reply: Reply): Answered {
  return reply.attr(shownAttributes(context, known), VALID_SECONDS)
}

export function entryOf(context: Context, known: KnownInode): EntryReply {
  const { inode, as } = known
  return {
    nodeid: nodeIdOf(inode, as),
    generation: inode.generation,
    entryValidSeconds: mayBeShownOtherwise(context, inode) ? 0 : VALID_SECONDS,
    attrValidSeconds: VALID_SECONDS,
    attributes: shownAttributes(context, known),
  }
}

/**
 * An empty file may become guest RAM, and guest RAM empty: where that changes the node id, the kernel looks
 * the name up at each use.
 */
function mayBeShownOtherwise({ store }: Context, { kind, guestRam, sizeBytes }: Inode): boolean {
  return store.ram.via === 'dax-node' && kind === 'file' && (guestRam || sizeBytes === 0)
}

export function shownAttributes(context: Context, { inode, as }: KnownInode): Attributes {
  return as === 'file' ? attributesOf(inode) : linkAttributesOf(inode, targetOf(context, inode).length)
}

/** Where guest RAM shown as a symlink points: at the node that maps it. */
export function targetOf(context: Context, inode: Inode): string {
  return nodeRamOf(context).path(objectOf(inode))
}

/** The nodes of a store that shows guest RAM as symlinks. */
export function nodeRamOf({ store: { ram } }: Context): NodeRam {
  if (ram.via === 'dax-node') return ram
  throw new BrokenInvariantError(`guest RAM is mapped via ${ram.via}, without nodes`)
}

/**
 * How a file is opened, the same each time, because the kernel refuses mixed modes on one inode: mmap maps
 * the memory itself, the kernel sends READ and WRITE to the server, and sends no FLUSH on close, which would
 * hang a killed process while no server answers. Memory that FUSE passthrough cannot map is opened for READ
 * and WRITE alone: its mmap fails with ENODEV.
 */
export function openReplyOf({ kernel, store }: Context, inode: Inode): OpenReply | Refusal {
  const object = objectOf(inode)
  const flags = FOPEN.DIRECT_IO | FOPEN.NOFLUSH
  const { ram } = store
  if (ram.via !== 'passthrough') return { fh: 0n, flags }
  const state = store.state(object)
  if (state === 'incoming') return WAIT_FOR_STORE
  // It can be truncated to 0, which gives it memory again; read answers EIO, and mmap ENODEV.
  if (state === 'lost') return { fh: 0n, flags }
  const backingId = kernel.backingId(inode.ino, () => {
    const mapping = ram.mapping(object, inode)
    if (mapping.via !== 'passthrough')
      throw new BrokenInvariantError(`memory object ${object} has no backing file`)
    return mapping.fd
  })
  return backingId instanceof Errno ? backingId : { fh: 0n, flags: flags | FOPEN.PASSTHROUGH, backingId }
}
