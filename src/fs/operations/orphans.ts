/**
 * The eviction of inodes. One without names is an orphan: it keeps its blocks until the kernel has forgotten
 * it and nothing maps its object. Then a record removes it, and only after that record does the store release
 * the object. A crash in between leaves an object that no inode owns, and recovery releases it.
 */
import { BLOCK_BYTES } from '../../stores/store.ts'
import type { Errno } from '../../values/errno.ts'
import type { Ino, ObjectId } from '../../values/ids.ts'
import { Wait } from '../../values/refusal.ts'
import { countBlocks } from '../space/extents.ts'
import type { Inode } from '../state/inode.ts'
import { type OwnTransaction, Transaction } from '../state/transaction.ts'
import type { OwnRequest, Volume } from '../state/volume.ts'
import { markFreedDirty, shrinkObject } from './resize.ts'

/**
 * `gone`: there is no such inode any more. `held`: its object is mapped, or may be, try again later. `kept`:
 * it has a name, or the pool is frozen and nothing may change.
 */
export type Eviction = 'gone' | 'held' | 'kept'

/** The most that one record of an eviction removes, which keeps it at some ten KiB. */
const EVICTION_EXTENTS = 1024
const EVICTION_XATTRS = 64

/**
 * Evicts an inode that the kernel has forgotten. Errors: ENOSPC where the image has no room for the record;
 * try again later.
 */
export function evict(volume: Volume, rq: OwnRequest, ino: Ino): Eviction | Errno {
  const inode = volume.state.inodes.get(ino)
  if (!inode) return 'gone'
  if (inode.links > 0 || volume.frozen) return 'kept'
  const held = inode.object !== undefined && volume.store.isHeld(inode.object)
  if (held) {
    if (!(held instanceof Wait)) volume.searches.set(ino, 'ended')
    else if (!volume.searches.has(ino)) volume.searches.set(ino, 'begun')
    return 'held'
  }

  let failure: Errno | undefined
  for (let left: Inode | undefined = inode; left && !failure; left = volume.state.inodes.get(ino))
    failure = nextEviction(volume, rq, left).commitIfRoom()
  if (failure) {
    // Another try asks the store again, and that is no first search.
    volume.searches.set(ino, 'ended')
    return failure
  }
  if (volume.searches.size > 0) volume.searches.delete(ino)
  if (inode.object !== undefined) releaseMemory(volume, inode.object)
  return 'gone'
}

/**
 * The next part of an orphan to remove: all of it, unless that is more than a record should hold. No process
 * can see an orphan that is partly evicted, and one that a crash left so is evicted like any other.
 */
function nextEviction(volume: Volume, rq: OwnRequest, inode: Inode): OwnTransaction {
  const tx: OwnTransaction = new Transaction(volume, rq)
  const names = [...(volume.state.xattrs.get(inode.ino)?.keys() ?? [])]
  if (inode.extents.length > EVICTION_EXTENTS) {
    const extents = inode.extents.slice(0, -EVICTION_EXTENTS)
    tx.change(inode, { extents, sizeBytes: countBlocks(extents) * BLOCK_BYTES })
    markFreedDirty(tx, inode, { extents })
  } else if (names.length > EVICTION_XATTRS) {
    for (const name of names.slice(0, EVICTION_XATTRS)) tx.removeXattr(inode.ino, name)
  } else {
    markFreedDirty(tx, inode, { extents: [] })
    tx.remove(inode.ino)
  }
  return tx
}

/**
 * Evicts the orphans that neither the kernel nor a mapping holds any more. Returns how many. Costs the number
 * of orphans.
 */
export function retryOrphans(volume: Volume, rq: OwnRequest, isReferenced: (ino: Ino) => boolean): number {
  let gone = 0
  for (const ino of [...volume.index.orphans])
    if (!isReferenced(ino) && evict(volume, rq, ino) === 'gone') gone++
  return gone
}

export function orphans(volume: Volume): Inode[] {
  return [...volume.index.orphans].flatMap((ino) => volume.state.inodes.get(ino) ?? [])
}

/**
 * Makes the store agree with the state that was recovered. Where the record of the former server's last
 * operation is complete, the object that it names is made what it says; where it is not, an object made for
 * it has no owner and is released. Idempotent: a crash in here changes nothing about the next try.
 * `isReferenced`: what the kernel still references, where its connection outlived the former server; nothing
 * on a new connection.
 */
export function recover(volume: Volume, rq: OwnRequest, isReferenced: (ino: Ino) => boolean): void {
  const owned = new Set<ObjectId>()
  for (const inode of volume.state.inodes.values()) {
    if (inode.object === undefined) continue
    owned.add(inode.object)
    volume.store.adopt(inode.object, inode)
  }
  for (const object of [...volume.store.objects()]) if (!owned.has(object)) releaseMemory(volume, object)

  for (const entry of volume.journal.lastEntries) {
    if (entry.kind !== 'inode' || entry.inode.kind !== 'file') continue
    // A checkpoint may be newer than the record: what the inode table says counts.
    const inode = volume.state.inodes.get(entry.inode.ino)
    if (inode?.object === undefined) continue
    shrinkObject(volume, inode)
  }
  volume.store.handover?.recover(volume.frozen)
  retryOrphans(volume, rq, isReferenced)
}

function releaseMemory(volume: Volume, object: ObjectId): void {
  volume.store.release(object)
  volume.settled.delete(object)
}
