/**
 * Random operations on the file system and on the plain reference model beside it: same answers, same tree,
 * same contents; every invariant and statfs after each step; and the log, replayed, is the same state. A
 * failure prints its seed: run again with `SEED=… node --test src/fs/testing/model.test.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BLOCK_BYTES } from '../../stores/store.ts'
import type { Ino } from '../../values/ids.ts'
import { Refusal, WAIT_FOR_ZEROING } from '../../values/refusal.ts'
import { Image } from '../image/image.ts'
import type { NameAt } from '../state/entry.ts'
import type { Journal } from '../state/journal.ts'
import { State } from '../state/state.ts'
import { checkInvariants, type Fixture, fixtureOver, MIB, n, nameAt, ok, ROOT } from './fixture.ts'
import { MemoryStore, type MemoryStoreOptions } from './memory-store.ts'
import { Model, type ModelNode, newNode, type Place } from './model.ts'
import { type Step, step } from './model-steps.ts'
import { PlainJournal } from './plain-journal.ts'

const TOTAL_BLOCKS = 6
type Kind = Pick<MemoryStoreOptions, 'clearing' | 'chunkBlocks'>
const KINDS: readonly Kind[] = [
  { clearing: 'kernel' },
  { clearing: 'ours' },
  { clearing: 'ours', chunkBlocks: 2 },
]
const RENAME_FLAGS = { plain: 0, noreplace: 1, exchange: 2 } as const

/** What memory that nobody cleared yet is full of: no file shows it that did not write it. */
const FORMER = 0xee

/** The file system and the model of it. `reopen`: the journal as a successor finds it. */
class Pair<J extends Journal> {
  fx: Fixture<J>
  readonly model = new Model((guestRam, used) => this.#freeBlocks(guestRam, used))
  readonly inos = new Map<ModelNode, Ino>([[this.model.root, ROOT]])
  readonly #reopen: (journal: J) => J

  constructor(store: Kind, journal: J, reopen: (journal: J) => J) {
    const options = { ...store, totalBlocks: TOTAL_BLOCKS, formerByte: FORMER }
    this.fx = fixtureOver(journal, new MemoryStore(options))
    this.#reopen = reopen
  }

  run(step: Step): void {
    const [expected, found] = this.#both(step)
    const answer = found instanceof Refusal ? String(found) : 'ok'
    assert.equal(answer, expected, JSON.stringify(step))
  }

  /** What the model answers, and what the file system does. */
  #both(step: Step): [string, unknown] {
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
        const made = step.kind === 'symlink' ? fs.symlink(rq(), at, n('to')) : fs[step.kind](rq(), at, 0o640)
        if (!(made instanceof Refusal)) this.inos.set(node, made.ino)
        return [expected, made]
      }
      case 'link': {
        const node = this.#node(step.node)
        const to = this.#place(step.place)
        return [model.link(node, to), fs.link(rq(), this.#ino(node), this.#nameAt(to))]
      }
      case 'unlink':
      case 'rmdir': {
        const where = this.#place(step.place)
        const expected = model.remove(where, step.kind === 'rmdir')
        return [expected, fs[step.kind](rq(), this.#nameAt(where))]
      }
      case 'rename': {
        const [from, to] = [this.#place(step.place), this.#place(step.to)]
        const found = fs.rename(rq(), this.#nameAt(from), this.#nameAt(to), RENAME_FLAGS[step.mode])
        return [model.rename(from, to, step.mode), found]
      }
      case 'truncate': {
        const node = this.#node(step.node)
        const ask = () => fs.setAttributes(rq(), this.#ino(node), { sizeBytes: step.size })
        return [model.truncate(node, step.size), this.#afterZeroing(ask)]
      }
      case 'write': {
        const node = this.#node(step.node)
        const bytes = new Uint8Array(step.length).fill(step.byte)
        // The end of what is modelled byte by byte.
        if (node.sizeBytes > BLOCK_BYTES && !node.guestRam) return ['ok', undefined]
        const ask = () => fs.write(rq(), this.#ino(node), step.offset, bytes)
        return [model.write(node, step.offset, bytes), this.#afterZeroing(ask)]
      }
      case 'punch': {
        const node = this.#node(step.node)
        const found = fs.fallocate(rq(), this.#ino(node), 3, step.offset, step.length)
        return [model.punch(node, step.offset, step.length), found]
      }
      case 'chmod': {
        const node = this.#node(step.node)
        node.mode = step.mode
        return ['ok', fs.setAttributes(rq(), this.#ino(node), { mode: step.mode })]
      }
      case 'setxattr': {
        const node = this.#node(step.node)
        node.xattrs.set(step.name, step.value)
        return ['ok', fs.setXattr(rq(), this.#ino(node), n(step.name), Buffer.from(step.value), 0)]
      }
      case 'removexattr': {
        const node = this.#node(step.node)
        const expected = node.xattrs.delete(step.name) ? 'ok' : 'ENODATA'
        return [expected, fs.removeXattr(rq(), this.#ino(node), n(step.name))]
      }
      case 'evict': {
        const orphans = [...model.orphans]
        const node = orphans[step.node % Math.max(orphans.length, 1)] ?? model.root
        const expected = model.orphans.delete(node) ? 'gone' : 'kept'
        assert.equal(fs.evict(rq(), this.#ino(node)), expected)
        return ['ok', undefined]
      }
      case 'restart': {
        // What was not released by the old server is released by the new one: here the kernel forgot
        // everything.
        model.orphans.clear()
        this.fx = fixtureOver(this.#reopen(this.fx.journal), this.fx.store)
        this.fx.fs.recover(this.fx.rq())
        return ['ok', undefined]
      }
      default:
        return step satisfies never
    }
  }

  check(): void {
    const { fs, journal } = this.fx
    checkInvariants(fs, journal, this.fx.store.descriptor.rules.chunkBlocks)
    assert.equal(fs.statfs().freeBlocks, TOTAL_BLOCKS - this.model.usedBlocks())
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

  /** A worker that is always there at once: the model knows no dirty blocks. */
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
    if (chunkBlocks === undefined) return TOTAL_BLOCKS - used
    const chunks = Array.from({ length: TOTAL_BLOCKS / chunkBlocks }, () => ({
      owned: 0,
      other: false,
    }))
    for (const inode of journal.state.inodes.values())
      for (const { start, count } of inode.extents)
        for (let block = start; block < start + count; block++) {
          const chunk = chunks[Math.floor(block / chunkBlocks)]
          assert.ok(chunk)
          chunk.owned++
          chunk.other ||= inode.guestRam !== guestRam
        }
    return chunks.reduce((sum, { owned, other }) => sum + (other ? 0 : chunkBlocks - owned), 0)
  }

  #node(number: number): ModelNode {
    const all = [...this.model.all()]
    return all[number % all.length] as ModelNode
  }

  #place({ directory, name }: { directory: number; name: string }): Place {
    return { directory: this.#node(directory), name }
  }

  #nameAt({ directory, name }: Place): NameAt {
    return nameAt(this.#ino(directory), name)
  }

  #ino(node: ModelNode): Ino {
    return this.inos.get(node) ?? assert.fail('a node of the model without an inode')
  }
}

const seed = Number(process.env.SEED) || undefined
const seeded = seed === undefined ? {} : { seed }

/** A new pool, where clearing is ours: who knows what its blocks hold. */
const freshState = ({ clearing }: Kind) =>
  State.fresh({ seconds: 0, nanoseconds: 0 }, { dirtyBlocks: clearing === 'ours' ? TOTAL_BLOCKS : 0 })

for (const kind of KINDS) {
  const chunks = kind.chunkBlocks === undefined ? '' : `, data chunks of ${kind.chunkBlocks}`
  test(`random operations do what the reference model does, clearing by ${kind.clearing}${chunks}`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const journal = new PlainJournal(TOTAL_BLOCKS, freshState(kind))
        const pair = new Pair(kind, journal, (found) => found.replay())
        for (const one of steps) {
          pair.run(one)
          pair.check()
        }
      }),
      { numRuns: 60, ...seeded },
    )
  })
}

test('the same through the persistent image, long enough for checkpoints, opened anew again and again', () => {
  let checkpoints = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 3000, maxLength: 3000, size: 'max' }), (steps) => {
      const area = new Uint8Array(new SharedArrayBuffer(MIB / 4))
      const identity = {
        poolName: 'model',
        storeKind: 'memfd',
        totalBlocks: TOTAL_BLOCKS,
        uuid: new Uint8Array(16),
      }
      const kind = { clearing: 'ours', chunkBlocks: 2 } as const
      Image.format(area, identity, freshState(kind))
      const open = () => Image.open(area, { storeKind: 'memfd', totalBlocks: TOTAL_BLOCKS }, new State())
      const pair = new Pair(kind, open(), open)
      for (const [at, one] of steps.entries()) {
        pair.run(one)
        if (at % 50 === 0) pair.check()
      }
      pair.check()
      checkpoints += pair.fx.journal.generation - 1
    }),
    // A failure is not made smaller: its seed is enough to see it again.
    { numRuns: 3, endOnFailure: true, ...seeded },
  )
  assert.ok(checkpoints > 0, 'checkpoints were made')
})
