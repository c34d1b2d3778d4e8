/**
 * Owns what all operations share: the state they read, the index beside it, the store under it and the one way
 * to change anything. Every modifying operation has the same shape:
 *
 *   check -> draft the entries -> is there room for the record (ENOSPC) -> make or grow memory
 *         -> commit the record -> shrink or release memory -> result
 *
 * so that a failure at any step leaves nothing behind, and a crash at any step leaves the state of before or
 * of after: memory that exists without a record is released or cut back at recovery, and memory a record gave
 * up is given up again.
 */
import type { Store } from '../../stores/store.ts'
import { EBUSY, ENOENT, ENOSPC, ENOTDIR, Errno, ESTALE } from '../../values/errno.ts'
import type { Ino, ObjectId } from '../../values/ids.ts'
import { Draft } from './draft.ts'
import type { Origin } from './entry.ts'
import type { Inode, Timestamp } from './inode.ts'
import type { Journal } from './journal.ts'
import type { State } from './state.ts'
import { StateIndex } from './state-index.ts'

/** Who asks, and when: an operation has no clock and no identity of its own. */
export interface Request {
  readonly origin: Origin
  readonly uid: number
  readonly gid: number
  readonly now: Timestamp
}

export class Volume {
  readonly journal: Journal
  readonly store: Store
  readonly state: State
  readonly index: StateIndex
  /** Memories known to be exactly as large as their inode says: see `growMemory`. */
  readonly settled = new Set<ObjectId>()

  constructor(journal: Journal, store: Store) {
    this.journal = journal
    this.store = store
    this.state = journal.state
    this.index = new StateIndex(journal.state, store.descriptor)
  }

  get frozen(): boolean {
    return this.state.pool.frozen
  }

  /** Every modification asks this first. */
  refusal(): Errno | undefined {
    return this.frozen ? EBUSY : undefined
  }

  draft(): Draft {
    return new Draft(this.state)
  }

  inode(ino: Ino): Inode | Errno {
    return this.state.inodes.get(ino) ?? ESTALE
  }

  directory(ino: Ino): Inode | Errno {
    const inode = this.inode(ino)
    return inode instanceof Errno || inode.kind === 'directory' ? inode : ENOTDIR
  }

  /** A directory that can take a name: a removed one cannot. */
  liveDirectory(ino: Ino): Inode | Errno {
    const inode = this.directory(ino)
    return inode instanceof Errno || inode.links > 0 ? inode : ENOENT
  }

  /** ENOSPC when the image has no room for this record. Asked before anything is done. */
  noRoomFor(draft: Draft): Errno | undefined {
    return this.journal.fits(draft.entries()) ? undefined : ENOSPC
  }

  /** There is room: `noRoomFor` said so, and nothing was committed since. */
  commit(request: Pick<Request, 'origin'>, draft: Draft): void {
    this.journal.commit(request.origin, draft.entries())
  }

  /** For operations that touch the state alone. */
  commitIfRoom(request: Pick<Request, 'origin'>, draft: Draft): Errno | undefined {
    const entries = draft.entries()
    if (!this.journal.fits(entries)) return ENOSPC
    this.journal.commit(request.origin, entries)
    return undefined
  }
}
