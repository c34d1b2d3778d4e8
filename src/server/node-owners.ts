/**
 * The owner and mode of a device node, which are those of its file. `chown` and `chmod` of guest RAM that is
 * shown as a symlink follow it to the node, which ends with the kernel and is made anew after each resize. So
 * the server takes over the node's owner and mode into the file whenever the file is looked up or read,
 * before the node is removed, and when the mount ends; and what is set on the file itself, it sets on the
 * node.
 */
import type { AttributeChange } from '../fs/operations/attributes.ts'
import type { Inode } from '../fs/state/inode.ts'
import type { NodeRam, Owner } from '../stores/store.ts'
import { Errno } from '../values/errno.ts'
import type { ObjectId } from '../values/ids.ts'
import { Refusal } from '../values/refusal.ts'
import type { Context } from './context.ts'
import type { KnownInode } from './kernel-view.ts'

/**
 * Returns the inode as it is then. Where the image cannot record it now (frozen, no room), the file keeps the
 * owner that it has there.
 */
export function adoptNodeOwner(context: Context, inode: Inode): Inode {
  const { fs } = context
  const node = nodeOf(context, inode)
  const owner = node?.ram.owner(node.object)
  // Where lstat(2) of the node fails, the next call adopts its owner.
  if (owner === undefined || owner instanceof Errno || fs.frozen || isSame(owner, inode)) return inode
  const { uid, gid, mode } = owner
  // An internal origin, because the request's own record is yet to come.
  const changed = fs.setAttributes(context.internal, inode.ino, { uid, gid, mode })
  return changed instanceof Refusal ? inode : changed
}

/** The same for an inode that the kernel was shown. */
export function adoptedNode(context: Context, known: KnownInode): KnownInode {
  const inode = adoptNodeOwner(context, known.inode)
  return inode === known.inode ? known : { ...known, inode }
}

export function adoptNodeOwners(context: Context): void {
  if (context.store.ram.via !== 'dax-node') return
  for (const inode of [...context.fs.guestRam()]) adoptNodeOwner(context, inode)
}

/**
 * Sets what of `change` concerns the node, then has `apply` set it on the file. In this order: a server that
 * dies in between leaves a node from which the file's owner is adopted, and the kernel sends the request
 * again. In the other order the next server would adopt the former owner, and lose a change that this one
 * answered. Where the kernel refuses it for the node, the server refuses the change and nothing has changed.
 * A change of the size removes the node, so it goes first: where the store then refuses the size, no node has
 * an owner that must be taken back from it.
 */
export function withNodeOwner<R>(
  context: Context,
  inode: Inode,
  change: AttributeChange,
  apply: () => R,
): R | Errno {
  const node = nodeOf(context, inode)
  const { uid = inode.uid, gid = inode.gid, mode = inode.mode } = change
  const wanted = { uid, gid, mode }
  if (node === undefined || context.fs.frozen || isSame(wanted, inode)) return apply()
  const isResize = change.sizeBytes !== undefined
  const failed = isResize ? node.ram.unpublish(node.object) : node.ram.own(node.object, wanted)
  if (failed) return failed
  if (isResize) return apply()
  const result = apply()
  // The node may have had the last room for another one: without a node nothing can be adopted.
  if (result instanceof Refusal && node.ram.own(node.object, inode)) node.ram.unpublish(node.object)
  return result
}

function nodeOf({ store }: Context, inode: Inode): { ram: NodeRam; object: ObjectId } | undefined {
  const { ram } = store
  const { object, guestRam } = inode
  return ram.via === 'dax-node' && guestRam && object !== undefined ? { ram, object } : undefined
}

const isSame = (a: Owner, b: Owner): boolean => a.uid === b.uid && a.gid === b.gid && a.mode === b.mode
