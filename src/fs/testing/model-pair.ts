/** The file system and the plain reference model, taking the same steps side by side. */
import assert from 'node:assert/strict'
import { BLOCK_BYTES } from '../../stores/store.ts'
import type { Ino } from '../../values/ids.ts'
import { Refusal, WAIT_FOR_ZEROING } from '../../values/refusal.ts'
import type { NameAt } from '../state/entry.ts'
import type { Journal } from '../state/journal.ts'
import { State } from '../state/state.ts'
import { type Fault, FaultyStore } from './faulty-store.ts'
import { badFreeBlocks, checkInvariants, type Fixture, fixtureOver, n, nameAt, ok, ROOT } from './fixture.ts'
import type { MemoryKind } from './memory-store.ts'
import { Model, type ModelNode, type ModelPlace, newNode } from './model.ts'
import type { Step } from './model-steps.ts'

export const TOTAL_BLOCKS = 6
export const MEMORY_KINDS: readonly MemoryKind[] = [
  { clearing: 'kernel' },
  { clearing: 'ours' },
  { clearing: 'ours', chunkBlocks: 2 },
]
/** More blocks than these do not fail: the others are left for files. */
const MOST_BAD_BLOCKS = 2
const RENAME_FLAGS = { plain: 0, noreplace: 1, exchange: 2 } as const

/** The bytes of memory that was never cleared: no file that did not write them may show them. */
const FORMER = 0xee

/** The file system and the model of it. `reopen`: the journal as a successor finds it. */
export class ModelPair<J extends Journal> {
  fx: Fixture<J, FaultyStore>
  readonly model = new Model((guestRam, used) => this.#freeBlocks(guestRam, used))
  readonly inos = new Map<ModelNode, Ino>([[this.model.root, ROOT]])
  readonly #reopen: (journal: J) => J

  constructor(store: MemoryKind, journal: J, reopen: (journal: J) => J) {
    const options = { ...store, totalBlocks: TOTAL_BLOCKS, formerByte: FORMER }
    this.fx = fixtureOver(journal, new FaultyStore(options))
    this.#reopen = reopen
  }

  run(step: Step): void {
    const [expected, ask] = this.#both(step)
    this.#expect(step, expected, ask())
  }

  #expect(step: Step, expected: string, found: unknown): void {
    const answer = found instanceof Refusal ? String(found) : 'ok'
    assert.equal(answer, expected, JSON.stringify(step))
  }

  /**
   * The same, while one call of the store after the other fails: each time the step answers that errno and
   * has changed nothing, or the call only gave memory back, which is done later. In the end none fails, and
   * the step does what it would have done at first. Returns how many calls failed.
   */
  runFaulty(step: Step, fault: Omit<Fault, 'at'>): number {
    const [expected, ask] = this.#both(step)
    for (let at = 1; ; at++) {
      const before = this.#dump()
      this.fx.store.arm({ ...fault, at })
      const found = ask()
      const { hasFailed } = this.fx.store
      this.fx.store.arm(undefined)
      const isRefused = hasFailed && found === fault.errno
      if (isRefused) assert.deepEqual(this.#dump(), before, JSON.stringify(step))
      else {
        this.#expect(step, expected, found)
        assert.equal(this.fx.fs.oversizedCount > 0, hasFailed, 'what failed is tried again')
        this.fx.fs.retryShrinks()
        assert.equal(this.fx.fs.oversizedCount, 0)
        return at - 1
      }
    }
  }

  /** Everything but which free blocks are dirty, and the bytes of small files. */
  #dump(): unknown {
    const { fs, journal } = this.fx
    const entries = [...journal.state.entries()].filter(({ kind }) => kind !== 'blocks')
    const contents = [...journal.state.inodes.values()]
      .filter(({ kind, guestRam, sizeBytes }) => kind === 'file' && !guestRam && sizeBytes <= BLOCK_BYTES)
      .map(({ ino, sizeBytes }) => {
        const bytes = Buffer.alloc(sizeBytes)
        assert.equal(fs.read(ino, 0, bytes), sizeBytes)
        return [ino, bytes]
      })
    return { entries, contents, use: fs.statfs() }
  }

  /** What the model answers, and what the file system is to do. */
  #both(step: Step): [string, () => unknown] {
    const { fs, rq } = this.fx
    const { model } = this
    switch (step.kind) {
      case 'create':
      case 'mkdir':
      case 'symlink': {
        const place = this.#place(step.place)
        const kinds = { create: 'file', mkdir: 'directory', symlink: 'symlink' } as const
        const node = newNode(
          kinds[step.kind],
          step.kind === 'symlink' ? 0o777 : 0o640,
          step.kind === 'symlink' ? 'to' : '',
        )
        const at = this.#nameAt(place)
        const expected = model.make(place, node)
        const { kind } = step
        const ask = () => {
          const made = kind === 'symlink' ? fs.symlink(rq(), at, n('to')) : fs[kind](rq(), at, 0o640)
          if (!(made instanceof Refusal)) this.inos.set(node, made.ino)
          return made
        }
        return [expected, ask]
      }
      case 'link': {
        const node = this.#node(step.node)
        const to = this.#place(step.place)
        return [model.link(node, to), () => fs.link(rq(), this.#ino(node), this.#nameAt(to))]
      }
      case 'unlink':
      case 'rmdir': {
        const where = this.#place(step.place)
        const expected = model.remove(where, step.kind === 'rmdir')
        return [expected, () => fs[step.kind](rq(), this.#nameAt(where))]
      }
      case 'rename': {
        const [from, to] = [this.#place(step.place), this.#place(step.to)]
        const names = [this.#nameAt(from), this.#nameAt(to)] as const
        const ask = () => fs.rename(rq(), ...names, RENAME_FLAGS[step.mode])
        return [model.rename(from, to, step.mode), ask]
      }
      case 'truncate': {
        const node = this.#node(step.node)
        const ask = () => fs.setAttributes(rq(), this.#ino(node), { sizeBytes: step.size })
        return [model.truncate(node, step.size), () => this.#afterZeroing(ask)]
      }
      case 'write': {
        const node = this.#node(step.node)
        const bytes = new Uint8Array(step.length).fill(step.byte)
        // The end of what is modelled byte by byte.
        if (node.sizeBytes > BLOCK_BYTES && !node.guestRam) return ['ok', () => undefined]
        const ask = () => fs.write(rq(), this.#ino(node), step.offset, bytes)
        return [model.write(node, step.offset, bytes), () => this.#afterZeroing(ask)]
      }
      case 'punch': {
        const node = this.#node(step.node)
        const ask = () => fs.fallocate(rq(), this.#ino(node), 3, step.offset, step.length)
        return [model.punch(node, step.offset, step.length), ask]
      }
      case 'chmod': {
        const node = this.#node(step.node)
        node.mode = step.mode
        return ['ok', () => fs.setAttributes(rq(), this.#ino(node), { mode: step.mode })]
      }
      case 'setxattr': {
        const node = this.#node(step.node)
        node.xattrs.set(step.name, step.value)
        const value = Buffer.from(step.value)
        return ['ok', () => fs.setXattr(rq(), this.#ino(node), n(step.name), value, 0)]
      }
      case 'removexattr': {
        const node = this.#node(step.node)
        const expected = node.xattrs.delete(step.name) ? 'ok' : 'ENODATA'
        return [expected, () => fs.removeXattr(rq(), this.#ino(node), n(step.name))]
      }
      case 'evict': {
        const orphans = [...model.orphans]
        const node = orphans[step.node % Math.max(orphans.length, 1)] ?? model.root
        const expected = model.orphans.delete(node) ? 'gone' : 'kept'
        return ['ok', () => assert.equal(fs.evict(rq(), this.#ino(node)), expected)]
      }
      case 'fail': {
        const count = this.fx.journal.state.blockStates.badBlocks < MOST_BAD_BLOCKS ? 1 : 0
        return ['ok', () => fs.markBad(rq(), [{ start: step.block % TOTAL_BLOCKS, count }])]
      }
      case 'restart': {
        // The new server releases what the old one did not: on its new connection the kernel references no
        // orphan.
        model.orphans.clear()
        const ask = () => {
          this.fx = fixtureOver(this.#reopen(this.fx.journal), this.fx.store)
          this.fx.fs.recover(this.fx.rq())
        }
        return ['ok', ask]
      }
      default:
        return step satisfies never
    }
  }

  check(): void {
    const { fs, journal } = this.fx
    checkInvariants(fs, journal, this.fx.store.descriptor.rules.chunkBlocks)
    assert.equal(
      fs.statfs().freeBlocks,
      TOTAL_BLOCKS - this.model.usedBlocks() - badFreeBlocks(this.fx.journal.state).length,
    )
    assert.deepEqual(
      new Set(fs.orphans().map(({ ino }) => ino)),
      new Set([...this.model.orphans].map((node) => this.#ino(node))),
    )
    for (const node of this.model.all()) this.#compare(node)
  }

  #compare(node: ModelNode): void {
    const { fs, stat } = this.fx
    const ino = this.#ino(node)
    const { kind, mode, sizeBytes, guestRam, links, target } = stat(ino)
    const directories = [...node.children.values()].filter((child) => child.kind === 'directory').length
    const wanted = node.kind === 'directory' ? 2 + directories : node.names
    assert.deepEqual(
      { kind, mode, sizeBytes, guestRam, links, target },
      {
        kind: node.kind,
        mode: node.mode,
        sizeBytes: node.sizeBytes,
        guestRam: node.guestRam,
        links: wanted,
        target: node.target,
      },
    )
    assert.deepEqual(
      new Map(
        ok(fs.listXattrs(ino)).map((name) => [name, Buffer.from(ok(fs.getXattr(ino, name))).toString()]),
      ),
      new Map(node.xattrs),
    )
    if (node.kind === 'directory') {
      const listed = [...ok(fs.readDirectory(ino, 2))].map(({ name, ino: child }): [string, Ino] => [
        name,
        child,
      ])
      assert.deepEqual(
        new Map(listed),
        new Map([...node.children].map(([name, child]) => [name, this.#ino(child)])),
      )
      assert.equal(listed.length, node.children.size)
      for (const child of node.children.values())
        if (child.kind === 'directory') assert.equal(fs.parentOf(this.#ino(child)), ino)
    }
    if (node.kind === 'file' && !node.guestRam && node.sizeBytes <= BLOCK_BYTES) {
      const bytes = Buffer.alloc(node.sizeBytes)
      assert.equal(fs.read(ino, 0, bytes), node.sizeBytes)
      assert.ok(bytes.equals(node.content.subarray(0, node.sizeBytes)), `contents of inode ${ino}`)
    }
  }

  /** A worker that zeroes at once: the model has no dirty blocks. */
  #afterZeroing<T>(ask: () => T): T {
    const { fs, store, rq } = this.fx
    for (let result = ask(); ; result = ask()) {
      if (result !== WAIT_FOR_ZEROING) return result
      const extent = fs.dirtyExtent(2) ?? assert.fail('it waits, and nothing is dirty')
      store.zero(extent)
      ok(fs.markClean(rq(), extent))
    }
  }

  /**
   * Where there are zones a scan of who owns what: blocks of chunks in which no file of the other kind is.
   */
  #freeBlocks(guestRam: boolean, used: number): number {
    const { store, journal } = this.fx
    const { chunkBlocks } = store.descriptor.rules
    const bad = badFreeBlocks(this.fx.journal.state)
    if (chunkBlocks === undefined) return TOTAL_BLOCKS - used - bad.length
    const chunks = Array.from({ length: TOTAL_BLOCKS / chunkBlocks }, () => ({ taken: 0, other: false }))
    for (const block of bad) (chunks[Math.floor(block / chunkBlocks)] as { taken: number }).taken++
    for (const inode of journal.state.inodes.values())
      for (const { start, count } of inode.extents)
        for (let block = start; block < start + count; block++) {
          const chunk = chunks[Math.floor(block / chunkBlocks)]
          assert.ok(chunk)
          chunk.taken++
          chunk.other ||= inode.guestRam !== guestRam
        }
    return chunks.reduce((sum, { taken, other }) => sum + (other ? 0 : chunkBlocks - taken), 0)
  }

  #node(number: number): ModelNode {
    const all = [...this.model.all()]
    return all[number % all.length] as ModelNode
  }

  #place({ directory, name }: { directory: number; name: string }): ModelPlace {
    return { directory: this.#node(directory), name }
  }

  #nameAt({ directory, name }: ModelPlace): NameAt {
    return nameAt(this.#ino(directory), name)
  }

  #ino(node: ModelNode): Ino {
    return this.inos.get(node) ?? assert.fail('a node of the model without an inode')
  }
}

/** A new pool; where the store clears blocks itself, all of them are dirty. */
export const freshState = ({ clearing }: MemoryKind) =>
  State.fresh({ seconds: 0, nanoseconds: 0 }, { dirtyBlocks: clearing === 'ours' ? TOTAL_BLOCKS : 0 })
