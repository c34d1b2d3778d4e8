/** The requests about extended attributes: the sizes the kernel asks for, the values the file system has. */
import { FROZEN, SIZE } from '../../fs/xattrs/control-xattrs.ts'
import { isForRootAlone } from '../../fs/xattrs/virtual-xattrs.ts'
import type { Reply } from '../../fuse/replies.ts'
import { EPERM, ERANGE, Errno } from '../../values/errno.ts'
import { toBytes } from '../../values/ids.ts'
import { VIRTUAL_PREFIX } from '../../values/xattr-names.ts'
import type { Operations, Outcome } from '../context.ts'
import { adoptNodeOwner, adoptNodeOwners } from '../node-owners.ts'

/** `size` 0 asks how large the value is; a buffer that is too small is ERANGE (getxattr(2)). */
function answerValue(value: Uint8Array | Errno, size: number, reply: Reply): Outcome {
  if (value instanceof Errno) return value
  if (size === 0) return reply.xattrSize(value.byteLength)
  return value.byteLength > size ? ERANGE : reply.data(value)
}

export const xattrOperations = {
  GETXATTR(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    // Statistics must not count inodes that the kernel has already forgotten.
    if (request.name.startsWith(VIRTUAL_PREFIX)) {
      if (request.header.uid !== 0 && isForRootAlone(known.inode.ino, request.name)) return EPERM
      context.evictions.endAll()
    }
    return answerValue(context.fs.getXattr(known.inode.ino, request.name), request.size, reply)
  },
  LISTXATTR(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    const names = context.fs.listXattrs(known.inode.ino)
    if (names instanceof Errno) return names
    const list = Buffer.concat(names.map((name) => toBytes(`${name}\0` as typeof name)))
    return answerValue(list, request.size, reply)
  },
  SETXATTR(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    const { name, flags } = request
    if (name === FROZEN) {
      // While the pool is frozen they could not be carried out.
      context.evictions.endAll()
      adoptNodeOwners(context)
    }
    if (name === SIZE) adoptNodeOwner(context, known.inode)
    // A copy: the data is a view of the read buffer, and the value must outlive the request.
    const value = Uint8Array.from(request.data)
    const failed = context.fs.setXattr(context.caller(request), known.inode.ino, name, value, flags)
    // The kernel has cached the former size: it does not expect setxattr(2) to change one.
    if (name === SIZE) context.kernel.invalidateAttr(known)
    return failed ?? reply.empty()
  },
  REMOVEXATTR(context, request, reply) {
    const known = context.resolve(request.header.nodeid)
    if (known instanceof Errno) return known
    return context.fs.removeXattr(context.caller(request), known.inode.ino, request.name) ?? reply.empty()
  },
} satisfies Partial<Operations>
