/**
 * The answer to a request that a former server applied, and died before it answered. No request has changed
 * anything since, and what servers do by themselves (zeroing, evicting orphans) changes no answer. So the
 * server reads the answer from the state. Must not: apply it again. A second create is EEXIST, a second
 * unlink takes another file.
 */
import type { Inode } from '../../fs/state/inode.ts'
import type { Answered, Reply } from '../../fuse/replies.ts'
import type { HandledRequest } from '../../fuse/session.ts'
import { ENOENT, Errno } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { ByteString, NodeId } from '../../values/ids.ts'
import { Wait } from '../../values/refusal.ts'
import type { ChangingOpcode, Context, HandledOpcode } from '../context.ts'
import { answerAttributes, answerEntry } from '../inode-replies.ts'
import { answerNewFile } from './name-requests.ts'

/**
 * undefined: the request changes nothing, or the former server has undone it, so the operation runs as for
 * any other request.
 */
export function answerAgain(
  context: Context,
  request: HandledRequest,
  reply: Reply,
): Answered | Errno | undefined {
  const { nodeid } = request.header
  switch (request.opcode) {
    case 'CREATE': {
      const made = find(context, nodeid, request.name)
      // No other request was applied since: the former server removed the file because it could not be
      // opened.
      if (made === ENOENT) return undefined
      if (made instanceof Errno) return made
      const parent = context.resolve(nodeid)
      if (parent instanceof Errno) return parent
      const at = { parent: parent.inode.ino, name: request.name }
      const outcome = answerNewFile(context, made, at, reply)
      if (outcome instanceof Wait) throw new BrokenInvariantError(`new file ${made.ino} waits for its memory`)
      return outcome
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
      // The write may have dropped set-id bits, and the former server may have died before it notified the
      // kernel.
      invalidateAttr(context, nodeid)
      return reply.write(request.size)
    case 'SETXATTR':
      invalidateAttr(context, nodeid)
      return reply.empty()
    case 'UNLINK':
    case 'RMDIR':
    case 'RENAME':
    case 'RENAME2':
    case 'FALLOCATE':
    case 'REMOVEXATTR':
      return reply.empty()
    default:
      return asAnyOther(request.opcode)
  }
}

/**
 * No record has the origin of a request that changes nothing. While `answerAgain` has no case for one that
 * does, this call does not compile.
 */
const asAnyOther = (_opcode: Exclude<HandledOpcode, ChangingOpcode>): undefined => undefined

function find(context: Context, parent: NodeId, name: ByteString): Inode | Errno {
  const directory = context.resolve(parent)
  return directory instanceof Errno ? directory : context.fs.lookup(directory.inode.ino, name)
}

function invalidateAttr(context: Context, nodeId: NodeId): void {
  const known = context.resolve(nodeId)
  if (!(known instanceof Errno)) context.kernel.invalidateAttr(known)
}
