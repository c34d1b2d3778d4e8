/**
 * What all operations share: the state they read, the index beside it, and the store under it. An operation
 * changes them only by a `Transaction` (transaction.ts).
 */
import type { Store } from '../../stores/store.ts'
import { EBUSY, ENOENT, ENOTDIR, Errno, ESTALE } from '../../values/errno.ts'
import type { Ino, ObjectId } from '../../values/ids.ts'
import type { Origin } from './entry.ts'
import type { Inode, Timestamp } from './inode.ts'
import type { Journal } from './journal.ts'
import { totalBlocksOf } from './pool-size.ts'
import type { State } from './state.ts'
import { StateIndex } from './state-index.ts'

/**
 * The server's own work has an origin and nothing else: no caller requested it, and it changes no timestamp.
 */
export interface OwnRequest {
  readonly origin: Origin
}

/** The caller, and the time: an operation has no clock and no identity of its own. */
export interface Caller extends OwnRequest {
  readonly uid: number
  readonly gid: number
  readonly now: Timestamp
}

export class Volume {
  readonly journal: Journal
  readonly store: Store
  readonly state: State
  readonly index: StateIndex
  /** Objects that are exactly as large as their inode says: see `growObject`. */
  readonly settled = new Set<ObjectId>()
  /** Files whose object the kernel has refused to shrink: see `shrinkObject`. */
  readonly oversized = new Set<Ino>()
  /**
   * Orphans that the store was asked about and that stayed: `begun`, it has not found out yet whether a
   * process maps them; `ended`, it has found that out at least once. One that is evicted at the first
   * question is never here.
   */
  readonly searches = new Map<Ino, 'begun' | 'ended'>()

  /** How many requests the file system has refused because the image's format version cannot hold them. */
  refusedByFormat = 0

  constructor(journal: Journal, store: Store) {
    this.journal = journal
    this.store = store
    this.state = journal.state
    const totalBlocks = totalBlocksOf(journal.state.properties, journal.identity.totalBlocks)
    this.index = new StateIndex(journal.state, { ...store.descriptor, totalBlocks })
  }

  get frozen(): boolean {
    return this.state.pool.frozen
  }

  /** Every modification calls this first. */
  refusal(): Errno | undefined {
    return this.frozen ? EBUSY : undefined
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
}
