/**
 * The fold of a sequence of entries: for each key, the last entry about it. Recovery folds the checkpoint and
 * the log and applies every key to the state once, so that the state never contradicts itself in between.
 * Must not: interpret the values.
 *
 * Why this yields the state at the last record, though the checkpoint was written while operations went on:
 * take any key. If a record logged since the checkpoint began states it, the last such record decides, and it
 * comes after the checkpoint in the fold. If none does, the key did not change while the checkpoint was
 * written, so the iteration for the checkpoint met it with the value that it still has, or did not meet it
 * because it does not exist. `inode-gone` counts as a statement about each name, xattr and property kept
 * under that inode.
 */
import type { ByteString, Ino } from '../../values/ids.ts'
import { BlockStates } from '../space/block-states.ts'
import type { Entry } from '../state/entry.ts'

type EntryOf<K extends Entry['kind']> = Extract<Entry, { kind: K }>

export class Fold {
  readonly #inodes = new Map<Ino, EntryOf<'inode'>>()
  readonly #names = new Map<Ino, Map<ByteString, EntryOf<'name'>>>()
  readonly #xattrs = new Map<Ino, Map<ByteString, EntryOf<'xattr'>>>()
  readonly #properties = new Map<Ino, Map<number, EntryOf<'property'>>>()
  readonly #blocks = new BlockStates()
  #pool: EntryOf<'pool'> | undefined

  add(entry: Entry): void {
    switch (entry.kind) {
      case 'inode':
        this.#inodes.set(entry.inode.ino, entry)
        return
      case 'inode-gone':
        this.#inodes.delete(entry.ino)
        this.#names.delete(entry.ino)
        this.#xattrs.delete(entry.ino)
        this.#properties.delete(entry.ino)
        return
      case 'name':
        under(this.#names, entry.parent).set(entry.name, entry)
        return
      case 'name-gone':
        this.#names.get(entry.parent)?.delete(entry.name)
        return
      case 'xattr':
        under(this.#xattrs, entry.ino).set(entry.name, entry)
        return
      case 'xattr-gone':
        this.#xattrs.get(entry.ino)?.delete(entry.name)
        return
      case 'property':
        under(this.#properties, entry.ino).set(entry.number, entry)
        return
      case 'property-gone':
        this.#properties.get(entry.ino)?.delete(entry.number)
        return
      case 'blocks':
        this.#blocks.set(entry.extent, entry.state)
        return
      case 'pool':
        this.#pool = entry
        return
    }
  }

  /**
   * Each key once: pool, inodes, names (in order of their cookies, as they were created), xattrs, properties,
   * blocks.
   */
  *entries(): IterableIterator<Entry> {
    if (this.#pool !== undefined) yield this.#pool
    yield* this.#inodes.values()
    for (const names of this.#names.values()) yield* [...names.values()].sort((a, b) => a.cookie - b.cookie)
    for (const xattrs of this.#xattrs.values()) yield* xattrs.values()
    for (const properties of this.#properties.values()) yield* properties.values()
    for (const { start, count, state } of this.#blocks.runs)
      yield { kind: 'blocks', extent: { start, count }, state }
  }
}

function under<K, V>(maps: Map<Ino, Map<K, V>>, ino: Ino): Map<K, V> {
  const known = maps.get(ino)
  if (known !== undefined) return known
  const made = new Map<K, V>()
  maps.set(ino, made)
  return made
}
