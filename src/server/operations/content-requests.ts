/** The requests about the contents of files and directories. */
import type { ListedName } from '../../fs/operations/listing.ts'
import { FUSE_WRITE_KILL_SUIDGID } from '../../fuse/constants.ts'
import { MAX_WRITE_BYTES } from '../../fuse/init.ts'
import type { RequestOf } from '../../fuse/opcodes.ts'
import type { Reply } from '../../fuse/replies.ts'
import { BLOCK_BYTES } from '../../stores/store.ts'
import { Errno } from '../../values/errno.ts'
import { Refusal } from '../../values/refusal.ts'
import type { Context, Operations, Outcome } from '../context.ts'
import { modeOfKind } from '../inode-attributes.ts'
import { entryOf, shownAs } from '../inode-replies.ts'
import { adoptNodeOwner } from '../node-owners.ts'

/** open(2). */
const O_NOATIME = 0o1000000
const NO_HANDLE = { fh: 0n, flags: 0 } as const

/** `put` adds one name to the reply. False: there is no room for it. */
function listDirectory(
  context: Context,
  request: RequestOf<'READDIR'> | RequestOf<'READDIRPLUS'>,
  reply: Reply,
  put: (entry: ListedName) => boolean,
): Outcome {
  const known = context.resolve(request.header.nodeid)
  if (known instanceof Errno) return known
  const names = context.fs.readDirectory(known.inode.ino, request.offset)
  if (names instanceof Errno) return names
  context.accessed(known.inode)
  reply.beginDirectory(request.size)
  for (const entry of names) if (!put(entry)) break
  return reply.endDirectory()
}

const isDots = ({ name }: ListedName): boolean => name === '.' || name === '..'

/** The type a listing shows must be the one a lookup will find. */
function listedMode(context: Context, { ino, kind }: ListedName): number {
  const inode = kind === 'file' ? context.fs.inode(ino) : undefined
  return modeOfKind(inode === undefined ? kind : shownAs(context, inode))
}

export const contentOperations = {
  READ(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    const into = reply.dataArea(Math.min(request.size, MAX_WRITE_BYTES))
    const length = context.fs.read(known.inode.ino, request.offset, into)
    if (length instanceof Refusal) return length
    if ((request.flags & O_NOATIME) === 0) context.accessed(known.inode)
    return reply.filled(length)
  },
  WRITE(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    const { fs } = context
    const { ino, mode } = known.inode
    const { offset, data } = request
    const killsSetId = (request.writeFlags & FUSE_WRITE_KILL_SUIDGID) !== 0
    const written = fs.write(context.caller(request), ino, offset, data, { killsSetId })
    if (written instanceof Refusal) return written
    // The kernel has cached the former mode, and would use it when the file is executed.
    if (fs.inode(ino)?.mode !== mode) context.kernel.invalidateAttr(known)
    return reply.write(written)
  },
  FALLOCATE(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    adoptNodeOwner(context, known.inode)
    const { mode, offset, length } = request
    const caller = context.caller(request)
    return context.fs.fallocate(caller, known.inode.ino, mode, offset, length) ?? reply.empty()
  },
  LSEEK(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    const found = context.fs.seek(known.inode.ino, request.offset, request.whence)
    return found instanceof Refusal ? found : reply.lseek(found)
  },
  /** Directories need no handle: a listing continues behind the last cookie, whichever server answers. */
  OPENDIR(_context, _request, reply) {
    return reply.open(NO_HANDLE)
  },
  READDIR(context, request, reply) {
    return listDirectory(context, request, reply, (entry) =>
      reply.name(entry.name, entry.ino, listedMode(context, entry), entry.cookie),
    )
  },
  READDIRPLUS(context, request, reply) {
    return listDirectory(context, request, reply, (entry) => {
      const { name, ino, cookie } = entry
      const mode = listedMode(context, entry)
      if (isDots(entry)) return reply.namePlus(name, ino, mode, cookie, undefined)
      const inode = context.fs.inode(ino)
      if (inode === undefined || !context.kernel.canStage) return false
      const known = { inode, as: shownAs(context, inode) }
      const added = reply.namePlus(name, ino, mode, cookie, entryOf(context, known))
      if (added) context.kernel.stageLookup(known)
      return added
    })
  },
  STATFS(context, _request, reply) {
    // Statistics must not count inodes that the kernel has already forgotten.
    context.evictions.endAll()
    const use = context.fs.statfs()
    return reply.statfs({
      blocks: use.totalBlocks,
      bfree: use.freeBlocks,
      bavail: use.availableBlocks,
      files: use.files,
      ffree: use.freeFiles,
      bsize: BLOCK_BYTES,
      frsize: BLOCK_BYTES,
      namelen: 255,
    })
  },
  // The bytes are in memory already: there is nothing to write back, and no handle to close.
  FLUSH: (_context, _request, reply) => reply.empty(),
  FSYNC: (_context, _request, reply) => reply.empty(),
  FSYNCDIR: (_context, _request, reply) => reply.empty(),
  RELEASE: (_context, _request, reply) => reply.empty(),
  RELEASEDIR: (_context, _request, reply) => reply.empty(),
  DESTROY: (_context, _request, reply) => reply.empty(),
  /**
   * A request is carried out to its end, or parked with nothing done yet: only a parked one can be
   * interrupted.
   */
  INTERRUPT(context, request) {
    context.parked.interrupt(request.unique)
  },
} satisfies Partial<Operations>
