/**
 * Owns answering a request that a predecessor carried out and did not live to answer. No request has changed anything
 * since; what servers did by themselves (zeroing, the end of orphans) changes no answer. So the answer is what the state says
 * now, and doing it again would be wrong (a second create is EEXIST, a second unlink takes another file).
 */

import type { Inode } from '../../fs/state/inode.ts'
import type { Reply } from '../../fuse/replies.ts'
import type { HandledRequest } from '../../fuse/session.ts'
import { Errno } from '../../values/errno.ts'
import type { ByteString, NodeId } from '../../values/ids.ts'
import type { Service } from '../service.ts'
import { answerCurrentAttributes } from './inodes.ts'
import { answerCreated } from './names.ts'

const find = (service: Service, parent: NodeId, name: ByteString): Inode | Errno => {
  const directory = service.kernel.resolve(parent)
  return directory instanceof Errno ? directory : service.fs.lookup(directory.inode.ino, name)
}

const outdate = (service: Service, nodeId: NodeId): void => {
  const known = service.kernel.resolve(nodeId)
  if (!(known instanceof Errno)) service.kernel.outdate(known)
}

export const answerAgain = (service: Service, request: HandledRequest, reply: Reply): void => {
  const { nodeid } = request.header
  switch (request.opcode) {
    case 'CREATE':
      answerCreated(service, find(service, nodeid, request.name), reply)
      break
    case 'MKNOD':
    case 'MKDIR':
    case 'SYMLINK':
      service.answerEntry(find(service, nodeid, request.name), reply)
      break
    case 'LINK':
      service.answerEntry(find(service, nodeid, request.newName), reply)
      break
    case 'SETATTR':
      answerCurrentAttributes(service, nodeid, reply)
      break
    case 'WRITE':
      // It may have dropped set-id bits, and nobody has told the kernel so.
      outdate(service, nodeid)
      reply.write(request.size)
      break
    case 'SETXATTR':
      outdate(service, nodeid)
      reply.empty()
      break
    default:
      reply.empty()
      break
  }
}
