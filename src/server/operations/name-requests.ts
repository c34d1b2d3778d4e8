/** The requests about names: looking up, making, linking, renaming and removing them. */
import type { NameAt } from '../../fs/state/entry.ts'
import { type Inode, isSpecial, objectOf } from '../../fs/state/inode.ts'
import type { RequestOf } from '../../fuse/opcodes.ts'
import type { EntryReply, Reply } from '../../fuse/replies.ts'
import { characterMajor, majorOf } from '../../linux/character-devices.ts'
import { errnoOfNodeError } from '../../linux/library.ts'
import { EINVAL, ENOENT, EPERM, Errno } from '../../values/errno.ts'
import { type ByteString, byteString, type NodeId, toBytes } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import { PERMISSION_BITS } from '../../values/uapi.ts'
import type { Context, Operations, Outcome } from '../context.ts'
import { kindOfMode } from '../inode-attributes.ts'
import {
  answerCreated,
  answerEntry,
  nodeRamOf,
  openReplyOf,
  targetOf,
  VALID_SECONDS,
} from '../inode-replies.ts'
import type { KnownInode } from '../kernel-view.ts'
import { adoptNodeOwner } from '../node-owners.ts'

/**
 * A LOOKUP that found nothing is answered with node id 0, which no inode has: the kernel caches that the name
 * is free.
 */
const NO_INODE = 0n as NodeId
const NOWHEN = { seconds: 0, nanoseconds: 0 }
const NO_ATTRIBUTES = {
  ino: 0,
  sizeBytes: 0,
  blocks: 0,
  mode: 0,
  links: 0,
  uid: 0,
  gid: 0,
  rdev: 0,
  blksize: 0,
  atime: NOWHEN,
  mtime: NOWHEN,
  ctime: NOWHEN,
}

const ABSENT: EntryReply = {
  nodeid: NO_INODE,
  generation: 0,
  entryValidSeconds: VALID_SECONDS,
  attrValidSeconds: 0,
  attributes: NO_ATTRIBUTES,
}

/**
 * Makes the node of guest RAM when a caller is about to map it, and not before, so that mounting costs
 * nothing per file.
 */
function publish(context: Context, shown: Inode): ByteString | Refusal {
  const inode = adoptNodeOwner(context, shown)
  const { uid, gid, mode } = inode
  const failed = nodeRamOf(context).publish(objectOf(inode), inode, { uid, gid, mode })
  return failed ?? byteString(targetOf(context, inode))
}

/**
 * Opening a device-dax node overwrites the flags of its inode, and a FUSE inode that is evicted then oopses
 * the host (docs/internals/deadlocks.md).
 */
function isDeviceDax(rdev: number): boolean {
  // A whiteout: every user may make one.
  if (rdev === 0) return false
  try {
    return majorOf(rdev) === characterMajor('dax')
  } catch (error) {
    errnoOfNodeError(error)
    return true // The major number cannot be read just now: a refusal is better than a host that oopses.
  }
}

/**
 * Opens the file that a CREATE has made at `at`. Where that is refused, the server removes the file again, by
 * records of their own: an open(2) that fails has made no file. A server that dies in between leaves the
 * file, and the request unanswered: the kernel sends it to the next server, which calls this again
 * (`answerAgain`). Where no next server has the connection, the caller got no answer, and an open(2) without
 * an answer may leave a file.
 */
export function answerNewFile(
  context: Context,
  made: Inode,
  at: NameAt,
  reply: Reply,
): Exclude<Outcome, undefined> {
  const open = openReplyOf(context, made)
  if (!(open instanceof Refusal)) return answerCreated(context, made, open, reply)
  context.fs.unlink(context.internal, at)
  context.fs.evict(context.internal, made.ino)
  return open
}

/** The name that a request is about, in its directory. */
const nameAt = ({ inode }: KnownInode, { name }: { readonly name: ByteString }): NameAt => ({
  parent: inode.ino,
  name,
})

type Rename = Omit<RequestOf<'RENAME2'>, 'opcode'> & { readonly opcode: 'RENAME' | 'RENAME2' }

function rename(context: Context, request: Rename, reply: Reply): Outcome {
  const { header, name, newName, newdir, flags } = request
  const from = context.resolve(header.nodeid)
  if (from instanceof Errno) return from
  const to = context.resolve(newdir)
  if (to instanceof Errno) return to
  const caller = context.caller(request)
  const renamed = context.fs.rename(
    caller,
    { parent: from.inode.ino, name },
    { parent: to.inode.ino, name: newName },
    flags,
  )
  return renamed ?? reply.empty()
}

export const nameOperations = {
  LOOKUP(context, request, reply) {
    const parent = context.resolve(request.header.nodeid)
    if (parent instanceof Errno) return parent
    const found = context.fs.lookup(parent.inode.ino, request.name)
    if (found === ENOENT) return reply.entry(ABSENT)
    return found instanceof Errno ? found : answerEntry(context, adoptNodeOwner(context, found), reply)
  },
  MKNOD(context, request, reply) {
    const kind = kindOfMode(request.mode)
    if (kind === undefined || (kind !== 'file' && !isSpecial(kind))) return EINVAL
    if (kind === 'character-device' && isDeviceDax(request.rdev)) return EPERM
    const parent = context.resolve(request.header.nodeid)
    if (parent instanceof Errno) return parent
    const mode = request.mode & PERMISSION_BITS
    const [caller, at] = [context.caller(request), nameAt(parent, request)]
    const made =
      kind === 'file'
        ? context.fs.create(caller, at, mode)
        : context.fs.mknod(caller, at, kind, mode, request.rdev)
    return made instanceof Refusal ? made : answerEntry(context, made, reply)
  },
  CREATE(context, request, reply) {
    const parent = context.resolve(request.header.nodeid)
    if (parent instanceof Errno) return parent
    const mode = request.mode & PERMISSION_BITS
    const at = nameAt(parent, request)
    const made = context.fs.create(context.caller(request), at, mode)
    return made instanceof Refusal ? made : answerNewFile(context, made, at, reply)
  },
  MKDIR(context, request, reply) {
    const parent = context.resolve(request.header.nodeid)
    if (parent instanceof Errno) return parent
    const mode = request.mode & PERMISSION_BITS
    const made = context.fs.mkdir(context.caller(request), nameAt(parent, request), mode)
    return made instanceof Errno ? made : answerEntry(context, made, reply)
  },
  SYMLINK(context, request, reply) {
    const parent = context.resolve(request.header.nodeid)
    if (parent instanceof Errno) return parent
    const made = context.fs.symlink(context.caller(request), nameAt(parent, request), request.target)
    return made instanceof Errno ? made : answerEntry(context, made, reply)
  },
  LINK(context, request, reply) {
    const known = context.resolve(request.oldnodeid)
    if (known instanceof Errno) return known
    const parent = context.resolve(request.header.nodeid)
    if (parent instanceof Errno) return parent
    const caller = context.caller(request)
    const to = { parent: parent.inode.ino, name: request.newName }
    const linked = context.fs.link(caller, known.inode.ino, to)
    return linked instanceof Errno ? linked : answerEntry(context, linked, reply)
  },
  UNLINK(context, request, reply) {
    const parent = context.resolve(request.header.nodeid)
    if (parent instanceof Errno) return parent
    return context.fs.unlink(context.caller(request), nameAt(parent, request)) ?? reply.empty()
  },
  RMDIR(context, request, reply) {
    const parent = context.resolve(request.header.nodeid)
    if (parent instanceof Errno) return parent
    return context.fs.rmdir(context.caller(request), nameAt(parent, request)) ?? reply.empty()
  },
  RENAME(context, request, reply) {
    return rename(context, { ...request, flags: 0 }, reply)
  },
  RENAME2(context, request, reply) {
    return rename(context, request, reply)
  },
  READLINK(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    const { inode, as } = known
    const target = as === 'symlink' ? publish(context, inode) : context.fs.readlink(inode.ino)
    if (target instanceof Refusal) return target
    if (as === 'file') context.accessed(inode)
    return reply.data(toBytes(target))
  },
} satisfies Partial<Operations>
