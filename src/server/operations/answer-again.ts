/**
 * The answer to a request that a former server applied and did not live to answer. No request has changed
 * anything since; what servers do by themselves (zeroing, evicting orphans) changes no answer. So the answer
 * is read from the state. Must not: apply it again. A second create is EEXIST, a second unlink takes another
 * file.
 */
import type { Inode } from '../../fs/state/inode.ts'
import type { Answered, Reply } from '../../fuse/replies.ts'
import type { HandledRequest } from '../../fuse/session.ts'
import { Errno } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { ByteString, NodeId } from '../../values/ids.ts'
import { Wait } from '../../values/refusal.ts'
import type { Context } from '../context.ts'
import { answerAttributes, answerCreated, answerEntry, openReplyOf } from '../inode-replies.ts'

export function answerAgain(context: Context, request: HandledRequest, reply: Reply): Answered | Errno {
  const { nodeid } = request.header
  switch (request.opcode) {
    case 'CREATE': {
      const made = find(context, nodeid, request.name)
      if (made instanceof Errno) return made
      const open = openReplyOf(context, made)
      if (open instanceof Wait) throw new BrokenInvariantError(`new file ${made.ino} waits for its memory`)
      return open instanceof Errno ? open : answerCreated(context, made, open, reply)
    }
    case 'MKNOD':
    case 'MKDIR':
    case 'SYMLINK':
    case 'LINK': {
      const made = find(context, nodeid, request.opcode === 'LINK' ? request.newName : request.name)
      return made instanceof Errno ? made : answerEntry(context, made, reply)
    }
    case 'SETATTR': {
      const known = context.resolve(nodeid)
      return known instanceof Errno ? known : answerAttributes(context, known, reply)
    }
    case 'WRITE':
      // It may have dropped set-id bits, and the former server may have died before it notified the kernel.
      invalidateAttr(context, nodeid)
      return reply.write(request.size)
    case 'SETXATTR':
      invalidateAttr(context, nodeid)
      return reply.empty()
    default:
      return reply.empty()
  }
}

function find(context: Context, parent: NodeId, name: ByteString): Inode | Errno {
  const directory = context.resolve(parent)
  return directory instanceof Errno ? directory : context.fs.lookup(directory.inode.ino, name)
}

function invalidateAttr(context: Context, nodeId: NodeId): void {
  const known = context.resolve(nodeId)
  if (!(known instanceof Errno)) context.kernel.invalidateAttr(known)
}
