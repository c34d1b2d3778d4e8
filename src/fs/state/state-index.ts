/**
 * Owns what follows from the tables of a state at rest: which blocks are free, which inodes are orphans,
 * where an inode has a name, which inode number comes next. Built once from the tables, then kept in step
 * with each change, so that no operation reads a whole table. It is never stored: recovery builds it anew.
 */
import type { StoreDescriptor } from '../../stores/store.ts'
import { type Ino, ROOT_INO } from '../../values/ids.ts'
import { Allocator } from '../space/allocator.ts'
import { commonBlocks, cutExtents } from '../space/extents.ts'
import type { DirectoryEntry } from './directory.ts'
import type { Entry } from './entry.ts'
import type { Inode } from './inode.ts'
import type { State, StateObserver } from './state.ts'

export class StateIndex implements StateObserver {
  readonly allocator: Allocator
  /** Inodes without a name, kept while the kernel or a mapping holds them. */
  readonly orphans = new Set<Ino>()
  /** One name of each inode: the name of a directory; the latest known one of a file that has several. */
  readonly #names = new Map<Ino, DirectoryEntry>()
  readonly #freeInos: Ino[] = []
  #highestIno: number = ROOT_INO
  #inodeCount = 0

  constructor(state: State, { totalBlocks, rules }: Pick<StoreDescriptor, 'totalBlocks' | 'rules'>) {
    this.allocator = new Allocator(totalBlocks, rules.chunkBlocks, rules.frames)
    for (const inode of state.inodes.values()) this.inodeChanged(undefined, inode)
    for (let ino = ROOT_INO + 1; ino < this.#highestIno; ino++)
      if (!state.inodes.has(ino as Ino)) this.#freeInos.push(ino as Ino)
    for (const directory of state.directories.values())
      for (const entry of directory.values()) this.nameChanged(undefined, entry)
    for (
      let run = state.blockStates.runBeyond(-1);
      run;
      run = state.blockStates.runBeyond(run.start + run.count)
    )
      this.allocator.state(run, run.state)
    state.observe(this)
  }

  get inodeCount(): number {
    return this.#inodeCount
  }

  /**
   * A name that leads to this inode, if one is known: always for a directory that is not removed (the root
   * has none).
   */
  nameOf(ino: Ino): DirectoryEntry | undefined {
    return this.#names.get(ino)
  }

  /**
   * The number the next new inode takes. Numbers are used again, so they stay as small as the most files ever
   * were.
   */
  nextIno(): Ino {
    return this.#freeInos.at(-1) ?? ((this.#highestIno + 1) as Ino)
  }

  inodeChanged(before: Inode | undefined, after: Inode | undefined): void {
    this.#ownerChanged(before, after)

    if (after?.links === 0) this.orphans.add(after.ino)
    else this.orphans.delete((after ?? before)?.ino as Ino)

    if (!before && after) this.#numberTaken(after.ino)
    if (before && !after) this.#numberFreed(before.ino)
  }

  nameChanged(before: DirectoryEntry | undefined, after: DirectoryEntry | undefined): void {
    if (before && this.#names.get(before.ino) === before) this.#names.delete(before.ino)
    if (after) this.#names.set(after.ino, after)
  }

  blocksStated({ extent, state }: Extract<Entry, { kind: 'blocks' }>): void {
    this.allocator.state(extent, state)
  }

  #ownerChanged(before: Inode | undefined, after: Inode | undefined): void {
    const [owned, owns] = [before?.extents ?? [], after?.extents ?? []]
    // A file that turned from one kind into the other was empty in between.
    const same = before?.guestRam === after?.guestRam ? commonBlocks(owned, owns) : 0
    for (const extent of cutExtents(owned, same).freed) this.allocator.disown(extent)
    if (after) for (const extent of cutExtents(owns, same).freed) this.allocator.own(extent, after)
  }

  #numberTaken(ino: Ino): void {
    this.#inodeCount++
    if (this.#freeInos.at(-1) === ino) this.#freeInos.pop()
    this.#highestIno = Math.max(this.#highestIno, ino)
  }

  #numberFreed(ino: Ino): void {
    this.#inodeCount--
    this.#freeInos.push(ino)
  }
}
