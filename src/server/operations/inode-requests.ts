/** The requests about one inode as such: its attributes, forgetting it, opening it. */
import type { Inode } from '../../fs/state/inode.ts'
import { FATTR } from '../../fuse/constants.ts'
import type { RequestOf } from '../../fuse/opcodes.ts'
import { EISDIR, ELOOP, Errno } from '../../values/errno.ts'
import { Refusal } from '../../values/refusal.ts'
import { PERMISSION_BITS } from '../../values/uapi.ts'
import type { Operations } from '../context.ts'
import { answerAttributes, openReplyOf } from '../inode-replies.ts'
import { adoptedNode, adoptNodeOwner, withNodeOwner } from '../node-owners.ts'

/** The fields of SETATTR that `valid` names. */
function changeOf(request: RequestOf<'SETATTR'>, now: Inode['ctime']) {
  const { valid } = request
  const time = (set: number, setToNow: number, seconds: number, nanoseconds: number) =>
    (valid & setToNow) !== 0 ? now : (valid & set) !== 0 ? { seconds, nanoseconds } : undefined
  const atime = time(FATTR.ATIME, FATTR.ATIME_NOW, request.atime, request.atimensec)
  const mtime = time(FATTR.MTIME, FATTR.MTIME_NOW, request.mtime, request.mtimensec)
  const ctime = time(FATTR.CTIME, 0, request.ctime, request.ctimensec)
  return {
    ...((valid & FATTR.MODE) !== 0 && { mode: request.mode & PERMISSION_BITS }),
    ...((valid & FATTR.UID) !== 0 && { uid: request.uid }),
    ...((valid & FATTR.GID) !== 0 && { gid: request.gid }),
    ...((valid & FATTR.SIZE) !== 0 && { sizeBytes: request.size }),
    ...(atime && { atime }),
    ...(mtime && { mtime }),
    ...(ctime && { ctime }),
  }
}

export const inodeOperations = {
  FORGET(context, request) {
    context.evictions.forget(request.header.nodeid, request.nlookup)
  },
  BATCH_FORGET(context, request) {
    for (const { nodeid, nlookup } of request.forgets) context.evictions.forget(nodeid, nlookup)
  },
  GETATTR(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    return answerAttributes(context, adoptedNode(context, known), reply)
  },
  SETATTR(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    const inode = adoptNodeOwner(context, known.inode)
    const caller = context.caller(request)
    const change = changeOf(request, caller.now)
    const changed = withNodeOwner(context, inode, change, () =>
      context.fs.setAttributes(caller, inode.ino, change),
    )
    if (changed instanceof Refusal) return changed
    return answerAttributes(context, { inode: changed, as: known.as }, reply)
  },
  /** The kernel checks permissions itself (default_permissions): any ACCESS that still comes is granted. */
  ACCESS(_context, _request, reply) {
    return reply.empty()
  },
  OPEN(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    // The kernel opens directories by OPENDIR, and follows symlinks itself.
    if (known.inode.kind !== 'file') return known.inode.kind === 'directory' ? EISDIR : ELOOP
    const open = openReplyOf(context, known.inode)
    return open instanceof Refusal ? open : reply.open(open)
  },
} satisfies Partial<Operations>
