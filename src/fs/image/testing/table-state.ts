/**
 * A small state for the image's own tests: one table of keys and nothing derived. It shares no code with the
 * image, so that the two can disagree.
 */
import type { BlockState, Entry } from '../../state/entry.ts'
import type { ImageState } from '../image-state.ts'

function keyOf(entry: Exclude<Entry, { kind: 'blocks' }>): string {
  switch (entry.kind) {
    case 'inode':
      return `${entry.inode.ino} inode`
    case 'inode-gone':
      return `${entry.ino} inode`
    case 'name':
    case 'name-gone':
      return `${entry.parent} name ${entry.name}`
    case 'xattr':
    case 'xattr-gone':
      return `${entry.ino} xattr ${entry.name}`
    case 'property':
    case 'property-gone':
      return `${entry.ino} property ${entry.number}`
    case 'pool':
      return 'pool'
  }
}

export class TableState implements ImageState {
  readonly #table = new Map<string, Entry>()
  readonly #blocks = new Map<number, BlockState>()
  readonly #totalBlocks: number

  constructor(totalBlocks: number) {
    this.#totalBlocks = totalBlocks
  }

  apply(entry: Entry): void {
    if (entry.kind === 'blocks') {
      for (let i = 0; i < entry.extent.count; i++) this.#blocks.set(entry.extent.start + i, entry.state)
    } else if (entry.kind === 'inode-gone') {
      for (const key of [...this.#table.keys()]) if (key.startsWith(`${entry.ino} `)) this.#table.delete(key)
    } else if (entry.kind.endsWith('-gone')) this.#table.delete(keyOf(entry))
    else this.#table.set(keyOf(entry), entry)
  }

  *entries(): IterableIterator<Entry> {
    yield* this.#table.values()
    for (let start = 0; start < this.#totalBlocks; ) {
      const state = this.#stateOf(start)
      let end = start + 1
      while (end < this.#totalBlocks && this.#stateOf(end) === state) end++
      if (state !== 'clean') yield { kind: 'blocks', extent: { start, count: end - start }, state }
      start = end
    }
  }

  /** Everything, in an order of its own: two states are the same if and only if these are. */
  snapshot(): string {
    const rows = [...this.entries()].map((entry) => JSON.stringify(entry, canonical))
    return rows.sort().join('\n')
  }

  #stateOf(block: number): BlockState {
    return this.#blocks.get(block) ?? 'clean'
  }
}

/** Fields in order of their names, bytes as text. */
function canonical(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
