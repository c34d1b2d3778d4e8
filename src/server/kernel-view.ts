/**
 * What the server has replied to the kernel on this connection: which node id means which inode, how often
 * the kernel has looked each one up, and which backing id its mappings have. Counts are staged per request
 * and carried over once the reply has arrived (runtime-area.ts has the argument). Must not: decide about
 * files. `forget` returns an inode that the kernel forgot, and evicts nothing.
 */
import type { Inode } from '../fs/state/inode.ts'
import { invalidateAttr } from '../fuse/notify.ts'
import { closeBacking, openBacking } from '../linux/fuse-device.ts'
import { EIO, ENOENT, Errno, ESTALE } from '../values/errno.ts'
import { type BackingId, type Fd, type Ino, type NodeId, ROOT_INO } from '../values/ids.ts'
import type { PendingLookup, RuntimeArea, ShownAs } from './runtime-area.ts'

/** The root has FUSE_ROOT_ID whatever its generation, and the kernel never looks it up nor forgets it. */
const ROOT_NODE_ID = 1n as NodeId

/**
 * In the node id of guest RAM shown as a symlink: to the kernel a name that changes its type is another
 * inode.
 */
const SYMLINK_BIT = 1n << 31n

export function nodeIdOf(inode: Inode, as: ShownAs): NodeId {
  if (inode.ino === ROOT_INO) return ROOT_NODE_ID
  const id = (BigInt(inode.generation) << 32n) | BigInt(inode.ino)
  return (as === 'symlink' ? id | SYMLINK_BIT : id) as NodeId
}

const shownAsOf = (nodeId: NodeId): ShownAs => ((nodeId & SYMLINK_BIT) === 0n ? 'file' : 'symlink')
const inoOf = (nodeId: NodeId): Ino => Number(nodeId & (SYMLINK_BIT - 1n)) as Ino

/** An inode, and whether the kernel was shown it as a file or as a symlink. */
export interface KnownInode {
  readonly inode: Inode
  readonly as: ShownAs
}

export class KernelView {
  readonly #runtime: RuntimeArea
  readonly #fuse: Fd
  readonly #find: (ino: Ino) => Inode | undefined
  readonly #invalidate: (nodeId: NodeId) => boolean
  /** A bit per inode: its counts were there when this server took over. */
  #fromFormer = new Uint8Array(0)
  #staged: PendingLookup[] = []

  /** `invalidate`: false when the kernel has no inode of that node id. Tests pass a kernel of their own. */
  constructor(
    runtime: RuntimeArea,
    fuse: Fd,
    find: (ino: Ino) => Inode | undefined,
    invalidate = (nodeId: NodeId): boolean => invalidateAttr(fuse, nodeId),
  ) {
    this.#runtime = runtime
    this.#fuse = fuse
    this.#find = find
    this.#invalidate = invalidate
  }

  /** ESTALE: the inode is gone, or its number is used by another now. */
  resolve(nodeId: NodeId): KnownInode | Errno {
    const inode = this.#find(inoOf(nodeId))
    const as = shownAsOf(nodeId)
    return inode !== undefined && nodeIdOf(inode, as) === nodeId ? { inode, as } : ESTALE
  }

  isReferenced(ino: Ino): boolean {
    return ino === ROOT_INO || this.#runtime.isReferenced(ino)
  }

  // --- lookup counts, one request at a time ---

  /** Whether the reply under way may name one more inode. */
  get canStage(): boolean {
    return this.#staged.length < this.#runtime.maxPending
  }

  /** The reply under way counts as one more lookup of `inode` in the kernel. */
  stageLookup({ inode: { ino }, as }: KnownInode): void {
    if (ino === ROOT_INO) return
    // One reply may name an inode more than once (hard links in one directory): each counts.
    const staged = this.#staged.findLast((lookup) => lookup.ino === ino && lookup.as === as)
    const before = staged?.count ?? this.#runtime.lookups(ino, as)
    this.#staged.push({ ino, as, count: before + 1 })
  }

  beforeReply(unique: bigint): void {
    if (this.#staged.length > 0) this.#runtime.armPending(unique, this.#staged)
  }

  afterReply(delivered: boolean): void {
    if (this.#staged.length === 0) return
    if (delivered) this.#runtime.applyPending()
    else this.#runtime.dropPending()
    this.#staged = []
  }

  /**
   * Whether forgetting `count` lookups leaves an inode that has no name and that the kernel does not
   * reference.
   */
  isLastOfOrphan(nodeId: NodeId, count: number): boolean {
    const known = this.resolve(nodeId)
    if (known instanceof Errno || known.inode.links > 0) return false
    return this.#runtime.lookups(known.inode.ino, known.as) <= count
  }

  /**
   * Returns the inode when the kernel has forgotten it altogether. Where an inode has no name, a count that a
   * former server left is checked with the kernel: see `takeOver`.
   */
  forget(nodeId: NodeId, count: number): Inode | undefined {
    const known = this.resolve(nodeId)
    if (known instanceof Errno || known.inode.ino === ROOT_INO) return undefined
    const { inode, as } = known
    const left = Math.max(0, this.#runtime.lookups(inode.ino, as) - count)
    // The backing id is closed before the count is stored: a crash in between leaves an id that is closed
    // again later.
    if (left === 0 && as === 'file') this.#closeBacking(inode.ino)
    this.#runtime.setLookups(inode.ino, as, left)
    if (inode.links === 0 && this.#isFromFormer(inode.ino)) this.#correctCounts(inode)
    if (this.#runtime.isReferenced(inode.ino)) return undefined
    this.#trustCounts(inode.ino)
    return inode
  }

  /**
   * The next server calls this before it serves, with the orphans there are. The kernel never sends a FORGET
   * again that a server had read before it died, so each count that is found may be too high. That harms an
   * inode only once it has no name: its memory would never be freed. So this server asks the kernel whether
   * it has such an inode: now, and after each later FORGET of an orphan whose counts were found here. The
   * second covers files that still had a name when their FORGET was lost: the kernel looks a name up before
   * it removes it, and so sends a FORGET of its inode afterwards.
   *
   * No byte is lost by it: the kernel's ENOENT means that no dentry, no open file and no FUSE mapping has the
   * inode. Whether the memory itself is mapped, the store checks (`Store.isHeld`). Where a process has not
   * yet used the answer to its LOOKUP, the kernel gets ESTALE, looks the name up again, and finds it gone. A
   * FORGET that still comes finds a count of zero.
   */
  takeOver(orphans: readonly Inode[]): void {
    this.#fromFormer = new Uint8Array(Math.ceil(this.#runtime.usedInodes / 8))
    for (const ino of this.#runtime.knownInodes())
      this.#fromFormer[ino >> 3] = (this.#fromFormer[ino >> 3] ?? 0) | (1 << (ino & 7))
    for (const inode of orphans) this.#correctCounts(inode)
  }

  #isFromFormer(ino: Ino): boolean {
    return ((this.#fromFormer[ino >> 3] ?? 0) & (1 << (ino & 7))) !== 0
  }

  /** The kernel has forgotten `ino`: this server counts all lookups from now on. */
  #trustCounts(ino: Ino): void {
    if (this.#isFromFormer(ino))
      this.#fromFormer[ino >> 3] = (this.#fromFormer[ino >> 3] ?? 0) & ~(1 << (ino & 7))
  }

  #correctCounts(inode: Inode): void {
    for (const as of ['file', 'symlink'] as const) {
      if (this.#runtime.lookups(inode.ino, as) === 0) continue
      if (this.#invalidate(nodeIdOf(inode, as))) continue
      if (as === 'file') this.#closeBacking(inode.ino)
      this.#runtime.setLookups(inode.ino, as, 0)
    }
  }

  /**
   * After a request that changed attributes which the kernel does not expect it to change: the kernel then
   * sends GETATTR before it uses them.
   */
  invalidateAttr({ inode, as }: KnownInode): void {
    this.#invalidate(nodeIdOf(inode, as))
  }

  // --- backing ids ---

  /**
   * The one backing id of an inode: every open of it on this connection must carry the same
   * (fs/fuse/iomode.c). Kept until the kernel forgets the inode. `fd` is called only when a new id has to be
   * made. Errors: EIO.
   */
  backingId(ino: Ino, fd: () => Fd): BackingId | Errno {
    const known = this.#runtime.backingId(ino)
    if (known !== undefined) return known
    this.#runtime.backingIntent = true
    const id = openBacking(this.#fuse, fd())
    if (id instanceof Errno) {
      this.#runtime.backingIntent = false
      return id === ENOENT ? EIO : id
    }
    this.#runtime.setBackingId(ino, id)
    this.#runtime.backingIntent = false
    return id
  }

  /**
   * A former server that died between getting a backing id and storing it left an id that holds memory until
   * the connection ends. The kernel assigns ids in turn (idr_alloc_cyclic, fs/fuse/backing.c), so it can only
   * be the one after the last; closing an id that does not exist is ENOENT and harms nothing.
   */
  closeLostBacking(): void {
    if (!this.#runtime.backingIntent) return
    const candidate = (this.#runtime.lastBackingId + 1) as BackingId
    const isWrittenDown = [...this.#runtime.knownInodes()].some(
      (ino) => this.#runtime.backingId(ino) === candidate,
    )
    if (!isWrittenDown) closeBacking(this.#fuse, candidate)
    this.#runtime.backingIntent = false
  }

  #closeBacking(ino: Ino): void {
    const id = this.#runtime.backingId(ino)
    if (id === undefined) return
    closeBacking(this.#fuse, id)
    this.#runtime.setBackingId(ino, undefined)
  }
}
