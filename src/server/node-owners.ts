/**
 * Owns bringing home what `chown` and `chmod` did to guest RAM that is shown as a symlink: they follow it, and reach
 * the node. A node is gone with the kernel under it, so before a freeze its owner and mode become the file's.
 */
import type { HandledRequest } from '../fuse/session.ts'
import type { Service } from './service.ts'

/** What cannot be recorded now (frozen already, no room) stays as the image has it. */
export const adoptNodeOwners = (service: Service, request: Pick<HandledRequest, 'header'>): void => {
  const { ram } = service.store
  if (ram.via !== 'dax-node' || service.fs.frozen) return
  for (const inode of [...service.fs.guestRam()]) {
    const owner = inode.object === undefined ? undefined : ram.owner(inode.object)
    if (owner === undefined) continue
    const { uid, gid, mode } = owner
    if (uid === inode.uid && gid === inode.gid && mode === inode.mode) continue
    // Own work: the request's own record is yet to come, and must be the one that stands for it.
    const asked = { ...service.asked(request), origin: service.ownWork.origin }
    service.fs.setAttributes(asked, inode.ino, { uid, gid, mode })
  }
}
