/**
 * FUSE_NOTIFY_INVAL_INODE, the one notification that the server sends besides RESEND: the kernel drops what
 * it has cached of an inode's attributes, and answers whether it still has the inode. FUSE_NOTIFY_INVAL_ENTRY
 * is left out on purpose (docs/internals/deadlocks.md).
 */
import { writeReply } from '../linux/fuse-device.ts'
import { ENOENT } from '../values/errno.ts'
import type { Fd, NodeId } from '../values/ids.ts'
import { OUT_HEADER } from './kernel-structs.ts'
import { Layout } from './struct.ts'

const FUSE_NOTIFY_INVAL_INODE = 2
/** struct fuse_notify_inval_inode_out. A negative offset drops cached attributes alone, no pages. */
const INVAL_INODE_OUT = new Layout({ ino: 'nodeid', off: 's64', len: 's64' })

/**
 * The kernel drops the cached attributes of the inode, and caches none from a reply under way
 * (`attr_version`). False when the kernel has forgotten the node id: fuse_reverse_inval_inode()
 * (fs/fuse/inode.c) answers ENOENT for an inode it does not have. Takes no lock that a request could hold,
 * but may wait while an inode is being made or evicted: while a request is handled, only for an inode that
 * this request holds.
 */
export function invalidateAttr(fuseFd: Fd, nodeId: NodeId): boolean {
  const bytes = new Uint8Array(OUT_HEADER.sizeBytes + INVAL_INODE_OUT.sizeBytes)
  const view = new DataView(bytes.buffer)
  OUT_HEADER.encode(view, 0, { len: bytes.byteLength, error: FUSE_NOTIFY_INVAL_INODE, unique: 0n })
  INVAL_INODE_OUT.encode(view, OUT_HEADER.sizeBytes, { ino: nodeId, off: -1, len: 0 })
  return writeReply(fuseFd, bytes) !== ENOENT
}
