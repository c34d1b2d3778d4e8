/**
 * The parts of replies that show the kernel an inode: what it is shown as, its entry, its attributes, how it
 * is opened. Must not: change files. Of these, `answerEntry` and `answerCreated` stage a lookup.
 */
import { type Inode, objectOf } from '../fs/state/inode.ts'
import { FOPEN } from '../fuse/constants.ts'
import type { Answered, Attributes, EntryReply, OpenReply, Reply } from '../fuse/replies.ts'
import type { NodeRam } from '../stores/store.ts'
import { Errno } from '../values/errno.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import { type Refusal, WAIT_FOR_STORE } from '../values/refusal.ts'
import { attributesOf, linkAttributesOf } from './attributes.ts'
import type { Context } from './context.ts'
import { type KnownInode, nodeIdOf } from './kernel-view.ts'
import type { ShownAs } from './runtime-area.ts'

/**
 * Nothing changes but through this mount, and the kernel drops what its own operations change: what it has
 * cached stays true. A day, as libfuse's passthrough examples have it with `cache=always`.
 */
export const VALID_SECONDS = 86_400

/** What the kernel is shown an inode as from now on. */
export function shownAs({ store }: Context, inode: Inode): ShownAs {
  return inode.guestRam && store.ram.via === 'dax-node' ? 'symlink' : 'file'
}

/** An entry is a lookup: the kernel will forget the inode as often as it got it. */
export function answerEntry(context: Context, inode: Inode, reply: Reply): Answered {
  const known = { inode, as: shownAs(context, inode) }
  context.kernel.stageLookup(known)
  return reply.entry(entryOf(context, known))
}

/** A new file comes open: its entry and its opening, which `openReplyOf` made, are one reply. */
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
 * An empty file may become guest RAM, and guest RAM empty: where that changes the node id, each use looks the
 * name up.
 */
function mayBeShownOtherwise({ store }: Context, { kind, guestRam, sizeBytes }: Inode): boolean {
  return store.ram.via === 'dax-node' && kind === 'file' && (guestRam || sizeBytes === 0)
}

export function shownAttributes(context: Context, { inode, as }: KnownInode): Attributes {
  return as === 'file' ? attributesOf(inode) : linkAttributesOf(inode, targetOf(context, inode).length)
}

/** Where guest RAM shown as a symlink points: at the node that maps it. */
export function targetOf(context: Context, inode: Inode): string {
  return nodesOf(context).path(objectOf(inode))
}

/** The nodes of a store that shows guest RAM as symlinks. */
export function nodesOf({ store: { ram } }: Context): NodeRam {
  if (ram.via === 'dax-node') return ram
  throw new BrokenInvariantError(`guest RAM is mapped via ${ram.via}, without nodes`)
}

/**
 * How a file is opened, for life: mmap reaches the memory itself, READ and WRITE come to the server, and
 * closing needs no FLUSH, which would hang a killed process while no server answers. Mixed modes on one inode
 * fail. Memory that no FUSE file can carry is opened for READ and WRITE alone: its mmap is a clean ENODEV.
 */
export function openReplyOf({ kernel, store }: Context, inode: Inode): OpenReply | Refusal {
  const object = objectOf(inode)
  const flags = FOPEN.DIRECT_IO | FOPEN.NOFLUSH
  const { ram } = store
  if (ram.via !== 'passthrough') return { fh: 0n, flags }
  const state = store.state(object)
  if (state === 'incoming') return WAIT_FOR_STORE
  // It can be emptied, which gives it memory again; reading it is EIO, and mapping it ENODEV.
  if (state === 'lost') return { fh: 0n, flags }
  const backingId = kernel.backingId(inode.ino, () => {
    const mapping = ram.mapping(object, inode)
    if (mapping.via !== 'passthrough')
      throw new BrokenInvariantError(`memory object ${object} has no backing file`)
    return mapping.fd
  })
  return backingId instanceof Errno ? backingId : { fh: 0n, flags: flags | FOPEN.PASSTHROUGH, backingId }
}
