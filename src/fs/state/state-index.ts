/**
 * What follows from the tables of a state at rest: which blocks are free, which inodes are orphans, where an
 * inode has a name, which inode number comes next. Built once from the tables, then kept in step with each
 * change, so that no operation reads a whole table. It is never stored: recovery builds it anew.
 */
import type { StoreDescriptor } from '../../stores/store.ts'
import { byteString, type Ino, ROOT_INO } from '../../values/ids.ts'
import { VM_XATTR } from '../../values/xattr-names.ts'
import { Allocator } from '../space/allocator.ts'
import { commonBlocks, countBlocks, cutExtents } from '../space/extents.ts'
import type { DirectoryEntry } from './directory.ts'
import type { Entry } from './entry.ts'
import type { Inode } from './inode.ts'
import { NameIndex } from './name-index.ts'
import { blocksStatedIn } from './pool-size.ts'
import type { State, StateObserver, XattrKey } from './state.ts'

const VM = byteString(VM_XATTR)

export class StateIndex implements StateObserver {
  readonly allocator: Allocator
  /** Inodes without a name, kept while the kernel references them or they are mapped. */
  readonly orphans = new Set<Ino>()
  /** Inodes that are guest RAM, and those that a VM is recorded on. */
  readonly guestRam = new Set<Ino>()
  readonly vmRecords = new Set<Ino>()
  readonly #names: NameIndex
  #orphanBlocks = 0
  readonly #freeInos: Ino[] = []
  #highestIno: number = ROOT_INO
  #inodeCount = 0

  /** `totalBlocks`: what the pool has now. */
  constructor(state: State, { totalBlocks, rules }: Pick<StoreDescriptor, 'totalBlocks' | 'rules'>) {
    this.allocator = new Allocator(totalBlocks, rules.chunkBlocks, rules.frames)
    this.#names = new NameIndex((entry) => state.directories.get(entry.parent)?.get(entry.name) === entry)
    for (const inode of state.inodes.values()) this.inodeChanged(undefined, inode)
    for (let ino = ROOT_INO + 1; ino < this.#highestIno; ino++)
      if (!state.inodes.has(ino as Ino)) this.#freeInos.push(ino as Ino)
    for (const directory of state.directories.values())
      for (const entry of directory.values()) this.nameChanged(undefined, entry)
    for (const [ino, xattrs] of state.xattrs)
      for (const name of xattrs.keys()) this.xattrChanged({ ino, name }, true)
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

  get orphanBlocks(): number {
    return this.#orphanBlocks
  }

  /** The latest of the names that lead to this inode; undefined for the root and for an orphan. */
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

    if (before?.links === 0) this.#orphanBlocks -= countBlocks(before.extents)
    if (after?.links === 0) this.#orphanBlocks += countBlocks(after.extents)
    if (after?.guestRam) this.guestRam.add(after.ino)
    else if (before?.guestRam) this.guestRam.delete(before.ino)
  }

  nameChanged(before: DirectoryEntry | undefined, after: DirectoryEntry | undefined): void {
    this.#names.changed(before, after)
  }

  xattrChanged({ ino, name }: XattrKey, isSet: boolean): void {
    if (name !== VM) return
    if (isSet) this.vmRecords.add(ino)
    else this.vmRecords.delete(ino)
  }

  blocksStated({ extent, state }: Extract<Entry, { kind: 'blocks' }>): void {
    this.allocator.state(extent, state)
  }

  propertyStated(entry: Extract<Entry, { kind: 'property' }>): void {
    const totalBlocks = blocksStatedIn(entry)
    if (totalBlocks !== undefined) this.allocator.resize(totalBlocks)
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
