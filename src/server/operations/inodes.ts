/** Owns the requests about one inode as such: attributes, being forgotten, being opened. */
import type { Inode } from '../../fs/state/inode.ts'
import { FATTR } from '../../fuse/constants.ts'
import type { RequestOf } from '../../fuse/opcodes.ts'
import type { Reply } from '../../fuse/replies.ts'
import type { NodeId } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import { type Operations, type Service, VALID_SECONDS } from '../service.ts'

/** STATX_BASIC_STATS (include/uapi/linux/stat.h); birth times are not kept. */
const STATX_BASIC_STATS = 0x7ff
const PERMISSION_BITS = 0o7777

export const answerCurrentAttributes = (service: Service, nodeId: NodeId, reply: Reply): void => {
  service.withInode(nodeId, reply, (inode, form) => service.answerAttributes(inode, form, reply))
}

/** The fields of SETATTR that `valid` names. */
const wanted = (request: RequestOf<'SETATTR'>, now: Inode['ctime']) => {
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
  FORGET(service, request) {
    service.evictions.forget(request.header.nodeid, request.nlookup)
  },
  BATCH_FORGET(service, request) {
    for (const { nodeid, nlookup } of request.forgets) service.evictions.forget(nodeid, nlookup)
  },
  GETATTR(service, request, reply) {
    answerCurrentAttributes(service, request.header.nodeid, reply)
  },
  SETATTR(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }, form) => {
      const asked = service.asked(request)
      service.answerAttributes(service.fs.setAttributes(asked, ino, wanted(request, asked.now)), form, reply)
    })
  },
  STATX(service, request, reply) {
    service.withInode(request.header.nodeid, reply, (inode, form) => {
      const { ino, sizeBytes, blocks, mode, links, uid, gid, blksize } = service.attributesOf({ inode, form })
      reply.statx({
        attrValid: VALID_SECONDS,
        attrValidNsec: 0,
        flags: 0,
        mask: STATX_BASIC_STATS,
        blksize,
        attributes: 0,
        attributesMask: 0,
        nlink: links,
        uid,
        gid,
        mode,
        ino,
        size: sizeBytes,
        blocks,
        atime: inode.atime.seconds,
        atimensec: inode.atime.nanoseconds,
        btime: 0,
        btimensec: 0,
        ctime: inode.ctime.seconds,
        ctimensec: inode.ctime.nanoseconds,
        mtime: inode.mtime.seconds,
        mtimensec: inode.mtime.nanoseconds,
        rdevMajor: 0,
        rdevMinor: 0,
        devMajor: 0,
        devMinor: 0,
      })
    })
  },
  /** The kernel checks permissions itself (default_permissions); what still asks is told yes. */
  ACCESS(_service, _request, reply) {
    reply.empty()
  },
  OPEN(service, request, reply) {
    service.withInode(request.header.nodeid, reply, (inode) => {
      const open = service.openReplyOf(inode)
      if (open instanceof Refusal) service.refuse(open, reply)
      else reply.open(open)
    })
  },
} satisfies Partial<Operations>
