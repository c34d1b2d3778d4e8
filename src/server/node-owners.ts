/**
 * The owner and mode of device nodes, copied to the files they stand for. `chown` and `chmod` of guest RAM
 * that is shown as a symlink follow it and reach the node. A node is gone with its kernel, so before a freeze
 * its owner and mode become the file's.
 */
import type { HandledRequest } from '../fuse/session.ts'
import type { Context } from './context.ts'

/** What cannot be recorded now (frozen already, no room) stays as the image has it. */
export function adoptNodeOwners(context: Context, request: Pick<HandledRequest, 'header'>): void {
  const { fs, store } = context
  const { ram } = store
  if (ram.via !== 'dax-node' || fs.frozen) return
  for (const inode of [...fs.guestRam()]) {
    const owner = inode.object === undefined ? undefined : ram.owner(inode.object)
    if (owner === undefined) continue
    const { uid, gid, mode } = owner
    if (uid === inode.uid && gid === inode.gid && mode === inode.mode) continue
    // An internal origin: the request's own record is yet to come, and must be the one that stands for it.
    const { origin } = context.internal
    fs.setAttributes({ ...context.caller(request), origin }, inode.ino, { uid, gid, mode })
  }
}
