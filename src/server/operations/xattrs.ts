/** Owns the requests about extended attributes: the sizes the kernel asks for, the values the file system gives. */
import { FROZEN, SIZE } from '../../fs/xattrs/control-xattrs.ts'
import type { Reply } from '../../fuse/replies.ts'
import { ERANGE, Errno } from '../../values/errno.ts'
import { toBytes } from '../../values/ids.ts'
import { VIRTUAL_PREFIX } from '../../values/xattr-names.ts'
import { adoptNodeOwners } from '../node-owners.ts'
import type { Operations } from '../service.ts'

/** `size` 0 asks how large the value is; a buffer that is too small is ERANGE (getxattr(2)). */
const answerValue = (value: Uint8Array | Errno, size: number, reply: Reply): void => {
  if (value instanceof Errno) reply.error(value)
  else if (size === 0) reply.xattrSize(value.byteLength)
  else if (value.byteLength > size) reply.error(ERANGE)
  else reply.data(value)
}

export const xattrOperations = {
  GETXATTR(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      // What the pool says of itself is what is so once the kernel has said goodbye.
      if (request.name.startsWith(VIRTUAL_PREFIX)) service.evictions.endAll()
      answerValue(service.fs.getXattr(ino, request.name), request.size, reply)
    })
  },
  LISTXATTR(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      const names = service.fs.listXattrs(ino)
      const list =
        names instanceof Errno
          ? names
          : Buffer.concat([...names].map((name) => toBytes(`${name}\0` as typeof name)))
      answerValue(list, request.size, reply)
    })
  },
  SETXATTR(service, request, reply) {
    service.withInode(request.header.nodeid, reply, (inode, form) => {
      const { name, flags } = request
      if (name === FROZEN) {
        // Frozen, they would stay until the thaw.
        service.evictions.endAll()
        adoptNodeOwners(service, request)
      }
      // The data is a view of the read buffer; what is kept must outlive the request.
      const value = Uint8Array.from(request.data)
      service.answerDone(service.fs.setXattr(service.asked(request), inode.ino, name, value, flags), reply)
      // The kernel takes the size for what it was: setxattr(2) does not change one.
      if (name === SIZE) service.kernel.outdate({ inode, form })
    })
  },
  REMOVEXATTR(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      service.answerDone(service.fs.removeXattr(service.asked(request), ino, request.name), reply)
    })
  },
} satisfies Partial<Operations>
