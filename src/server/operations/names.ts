/** Owns the requests about names: looking up, making, linking, moving and removing them. */

import type { Inode } from '../../fs/state/inode.ts'
import type { RequestOf } from '../../fuse/opcodes.ts'
import type { Reply } from '../../fuse/replies.ts'
import { ENOENT, EPERM, Errno } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { type ByteString, byteString, type NodeId, toBytes } from '../../values/ids.ts'
import { Refusal, Wait } from '../../values/refusal.ts'
import { type Operations, type Service, VALID_SECONDS } from '../service.ts'

const S_IFMT = 0o170000
const S_IFREG = 0o100000
const PERMISSION_BITS = 0o7777

/** What LOOKUP stands in for: no inode has node id 0, and the kernel may remember that for a while. */
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

const answerAbsent = (reply: Reply): void => {
  reply.entry({
    nodeid: NO_INODE,
    generation: 0,
    entryValidSeconds: VALID_SECONDS,
    attrValidSeconds: 0,
    attributes: NO_ATTRIBUTES,
  })
}

/** A new file comes open: its entry and its opening are one reply. */
export const answerCreated = (service: Service, made: Inode | Refusal, reply: Reply): void => {
  const open = made instanceof Refusal ? made : service.openReplyOf(made)
  if (made instanceof Refusal) service.refuse(made, reply)
  else if (open instanceof Wait) throw new BrokenInvariantError(`new file ${made.ino} waits for its memory`)
  // The file is there: asked again, it would be in its own way.
  else if (open instanceof Errno) reply.error(open)
  else {
    const shown = service.present(made)
    service.kernel.stageLookup(shown)
    reply.create(service.entryOf(shown), open)
  }
}

/** Whoever follows the link is about to map guest RAM: only now its node has to be there, so that mounting costs nothing per file. */
const publish = (service: Service, inode: Inode): ByteString | Refusal => {
  const { object: memory, uid, gid, mode } = inode
  if (memory === undefined) throw new BrokenInvariantError(`guest RAM ${inode.ino} has no memory`)
  const failed = service.nodes.publish(memory, inode, { uid, gid, mode })
  return failed ?? byteString(service.targetOf(inode))
}

type Rename = Pick<RequestOf<'RENAME2'>, 'header' | 'name' | 'newName' | 'newdir' | 'flags'>

const rename = (service: Service, request: Rename, reply: Reply): void => {
  const { header, name, newName, newdir, flags } = request
  service.withInode(header.nodeid, reply, (from) => {
    service.withInode(newdir, reply, (to) => {
      const asked = service.asked(request)
      service.answerDone(service.fs.rename(asked, from.ino, name, to.ino, newName, flags), reply)
    })
  })
}

export const nameOperations = {
  LOOKUP(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      const found = service.fs.lookup(ino, request.name)
      if (found === ENOENT) answerAbsent(reply)
      else service.answerEntry(found, reply)
    })
  },
  MKNOD(service, request, reply) {
    const type = request.mode & S_IFMT
    // No device nodes, fifos or sockets: they would have to be persisted, and a host has better places for them.
    if (type !== S_IFREG && type !== 0) return service.refuse(EPERM, reply)
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      const mode = request.mode & PERMISSION_BITS
      service.answerEntry(service.fs.create(service.asked(request), ino, request.name, mode), reply)
    })
  },
  CREATE(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      const mode = request.mode & PERMISSION_BITS
      answerCreated(service, service.fs.create(service.asked(request), ino, request.name, mode), reply)
    })
  },
  MKDIR(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      const mode = request.mode & PERMISSION_BITS
      service.answerEntry(service.fs.mkdir(service.asked(request), ino, request.name, mode), reply)
    })
  },
  SYMLINK(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      service.answerEntry(
        service.fs.symlink(service.asked(request), ino, request.name, request.target),
        reply,
      )
    })
  },
  LINK(service, request, reply) {
    service.withInode(request.oldnodeid, reply, (existing) => {
      service.withInode(request.header.nodeid, reply, (parent) => {
        service.answerEntry(
          service.fs.link(service.asked(request), existing.ino, parent.ino, request.newName),
          reply,
        )
      })
    })
  },
  UNLINK(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      service.answerDone(service.fs.unlink(service.asked(request), ino, request.name), reply)
    })
  },
  RMDIR(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      service.answerDone(service.fs.rmdir(service.asked(request), ino, request.name), reply)
    })
  },
  RENAME(service, request, reply) {
    rename(service, { ...request, flags: 0 }, reply)
  },
  RENAME2(service, request, reply) {
    rename(service, request, reply)
  },
  READLINK(service, request, reply) {
    service.withInode(request.header.nodeid, reply, (inode, form) => {
      const target = form === 'link' ? publish(service, inode) : service.fs.readlink(inode.ino)
      if (target instanceof Refusal) service.refuse(target, reply)
      else reply.data(toBytes(target))
    })
  },
} satisfies Partial<Operations>
