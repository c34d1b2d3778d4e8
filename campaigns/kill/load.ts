/**
 * A process that works on a mount and has a model of it: all acknowledged changes must be there, exactly
 * once, and nothing else. Run with a directory, a seed and the kind of the pool's memory. A line on its
 * standard input ends it: which process ran when, as the JSON of `Lifetimes`. Then it compares the whole tree
 * and prints one JSON line.
 *
 * In a pool of memfds it allows, and counts, two answers that no other file system gives: while no keeper
 * runs, the server refuses a new file with EIO; and the memory of a file may be lost, which is EIO to its
 * reader, where both processes died before a keeper had run for some seconds since the file was made.
 *
 * In a region no memory is ever lost, but the kernel ends the connection where both died. Then the one
 * operation that was not acknowledged may be there or not, in whole steps, and all others are there.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { setxattr } from '../../src/linux/xattr.ts'
import { heldBeforeLoss, type Lifetimes, type LoadResult, type Memory, type Span } from './lifetimes.ts'
import { errorOf, type FileModel, TreeModel, XATTR } from './tree-model.ts'

interface Change {
  /** False: the server has refused it, as it may. */
  readonly call: () => unknown
  /** What it does to the model, in the steps in which the server applies it. */
  readonly steps: readonly ((tree: TreeModel) => void)[]
}

const MOST_NAMES = 14
/** As long as the service manager may take to receive a descriptor that a keeper has, on a busy machine. */
const LOSS_MS = 10_000
/** Until another keeper serves the mount. */
const BACK_MS = 300_000
const LOOK_MS = 50
/**
 * The kernel has ended the connection of this mount; or another one is about to be made, and the directory is
 * the regular file beneath the mount point (region-host.ts).
 */
const CUT = ['ENOTCONN', 'ECONNABORTED', 'ENOTDIR']

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? ''

function assertRefused(code: string, call: () => void): void {
  try {
    call()
  } catch (error) {
    if (codeOf(error) === code) return
    throw error
  }
  assert.fail(`no ${code}`)
}

class Load {
  readonly #directory: string
  readonly #random: ReturnType<typeof randomFrom>
  readonly #memory: Memory
  #tree = new TreeModel()
  #serial = 0
  #operations = 0
  #refused = 0
  #cut = 0
  #cutAndApplied = 0
  readonly #losses: { readonly name: string; readonly made: Span }[] = []

  constructor(directory: string, seed: number, memory: Memory) {
    this.#directory = directory
    this.#random = randomFrom(seed)
    this.#memory = memory
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }

  #isEio(error: unknown): boolean {
    return this.#memory === 'memfds' && codeOf(error) === 'EIO'
  }

  #isCut(error: unknown): boolean {
    return this.#memory === 'region' && CUT.includes(codeOf(error))
  }

  async step(): Promise<void> {
    this.#operations++
    const change = this.#choose()
    try {
      if (change.call() !== false) for (const step of change.steps) step(this.#tree)
    } catch (error) {
      if (!this.#isCut(error)) throw error
      await this.#findOut(change)
    }
  }

  /** After a cut: the tree must be that of before the change, or that after one of its steps. */
  async #findOut({ steps }: Change): Promise<void> {
    this.#cut++
    const trees = [this.#tree]
    for (const step of steps) {
      const next = (trees.at(-1) as TreeModel).copy()
      step(next)
      trees.push(next)
    }
    const found = await this.#untilServed(() => {
      const failures: unknown[] = []
      for (const tree of trees)
        try {
          this.#compare(tree)
          return tree
        } catch (error) {
          if (!(error instanceof assert.AssertionError)) throw error
          failures.push(error)
        }
      throw failures.at(-1)
    })
    if (found !== this.#tree) this.#cutAndApplied++
    this.#tree = found
  }

  async #untilServed<T>(work: () => T): Promise<T> {
    const deadline = performance.now() + BACK_MS
    for (;;)
      try {
        return work()
      } catch (error) {
        if (!this.#isCut(error)) throw error
        if (performance.now() > deadline) throw new Error(`no server serves the mount`, { cause: error })
        await sleep(LOOK_MS)
      }
  }

  #compare(tree: TreeModel): void {
    tree.compare(this.#directory, (name, file) => void this.#read(name, file))
  }

  #choose(): Change {
    const { files } = this.#tree
    const name = files.size === 0 ? undefined : this.#random.pick([...files.keys()])
    if (name === undefined || (files.size < MOST_NAMES && this.#random.below(3) === 0)) return this.#create()
    return this.#random.pick(this.#changes)(name)
  }

  /** Exclusive: a create that the server has applied and repeats answers EEXIST here. */
  #create(): Change {
    const name = `f${++this.#serial}`
    const startMs = Date.now()
    const call = (): boolean => {
      try {
        fs.closeSync(fs.openSync(this.#path(name), 'wx', 0o644))
        return true
      } catch (error) {
        if (!this.#isEio(error)) throw error
        assert.equal(fs.existsSync(this.#path(name)), false, `${name} was refused and is there`)
        this.#refused++
        return false
      }
    }
    const file = { text: '', mode: 0o644, xattr: undefined }
    return { call, steps: [({ files }) => files.set(name, { ...file, made: [startMs, Date.now()] })] }
  }

  readonly #changes: readonly ((name: string) => Change)[] = [
    (name) => ({
      call: () => fs.unlinkSync(this.#path(name)),
      steps: [({ files }) => files.delete(name)],
    }),
    (name) => this.#move(name, `r${++this.#serial}`),
    (name) => this.#move(name, this.#random.pick([...this.#tree.files.keys()])),
    (name) => {
      const link = `l${++this.#serial}`
      const call = (): void => fs.linkSync(this.#path(name), this.#path(link))
      return { call, steps: [(tree) => tree.files.set(link, tree.file(name))] }
    },
    (name) => this.#write(name),
    (name) => this.#write(name),
    (name) => {
      const mode = 0o600 | this.#random.below(0o100)
      const set = (tree: TreeModel): void => void Object.assign(tree.file(name), { mode })
      return { call: () => fs.chmodSync(this.#path(name), mode), steps: [set] }
    },
    (name) => {
      const xattr = String(++this.#serial)
      const call = (): void => {
        const refused = setxattr(this.#path(name), XATTR, Buffer.from(xattr))
        if (refused !== undefined) throw errorOf(`setxattr of ${name}`, refused)
      }
      return { call, steps: [(tree) => void Object.assign(tree.file(name), { xattr })] }
    },
    () => this.#folder(),
    () => this.#symlink(),
    (name) => {
      const call = (): void => {
        assertRefused('EEXIST', () => fs.openSync(this.#path(name), 'wx'))
        assertRefused('ENOENT', () => fs.unlinkSync(this.#path(`absent${this.#serial}`)))
      }
      return { call, steps: [] }
    },
  ]

  #move(from: string, to: string): Change {
    return {
      call: () => fs.renameSync(this.#path(from), this.#path(to)),
      steps: [(tree) => tree.move(from, to)],
    }
  }

  /**
   * Reads the file first. One whose memory is lost gets new memory when it is truncated to 0; while no keeper
   * runs, the server refuses that, and the load deletes the file.
   */
  #write(name: string): Change {
    const text = `${name} ${++this.#serial}\n`.repeat(1 + this.#random.below(50))
    const call = (): boolean => {
      const file = this.#tree.file(name)
      const isLost = this.#read(name, file) === undefined
      const startMs = Date.now()
      try {
        fs.writeFileSync(this.#path(name), text)
      } catch (error) {
        if (!this.#isEio(error)) throw error
        // Reading an empty file does not show a loss.
        if (!isLost) this.#losses.push({ name, made: file.made })
        this.#refused++
        const { files } = this.#tree
        for (const [other, each] of files) if (each === file) fs.unlinkSync(this.#path(other))
        for (const [other, each] of files) if (each === file) files.delete(other)
        return false
      }
      if (isLost) file.made = [startMs, Date.now()]
      return true
    }
    const becomes = (now: string) => (tree: TreeModel) => void Object.assign(tree.file(name), { text: now })
    return { call, steps: [becomes(''), becomes(text)] }
  }

  /** undefined: its memory is lost, which `check` judges. */
  #read(name: string, { text, made }: FileModel): string | undefined {
    try {
      const found = fs.readFileSync(this.#path(name), 'utf8')
      assert.equal(found, text, name)
      return found
    } catch (error) {
      if (!this.#isEio(error)) throw error
      this.#losses.push({ name, made })
      return undefined
    }
  }

  #folder(): Change {
    const name = `d${this.#random.below(8)}`
    if (this.#tree.folders.has(name))
      return { call: () => fs.rmdirSync(this.#path(name)), steps: [({ folders }) => folders.delete(name)] }
    return { call: () => fs.mkdirSync(this.#path(name)), steps: [({ folders }) => folders.add(name)] }
  }

  #symlink(): Change {
    const name = `s${this.#random.below(8)}`
    if (this.#tree.links.has(name))
      return { call: () => fs.unlinkSync(this.#path(name)), steps: [({ links }) => links.delete(name)] }
    const target = `nowhere/${++this.#serial}`
    return {
      call: () => fs.symlinkSync(target, this.#path(name)),
      steps: [({ links }) => links.set(name, target)],
    }
  }

  check(lifetimes: Lifetimes): LoadResult {
    this.#compare(this.#tree)
    let longestHeldMs = 0
    for (const { name, made } of this.#losses) {
      const heldMs = heldBeforeLoss(made, lifetimes)
      const told = `${name} is lost, made in ${made}; a keeper had it for ${heldMs} ms before both died`
      assert.ok(heldMs < LOSS_MS, `${told}: ${JSON.stringify(lifetimes)}`)
      longestHeldMs = Math.max(longestHeldMs, heldMs)
    }
    return {
      operations: this.#operations,
      files: this.#tree.files.size,
      refused: this.#refused,
      lost: this.#losses.length,
      cut: this.#cut,
      cutAndApplied: this.#cutAndApplied,
      longestHeldMs,
    }
  }
}

const [, , directory = '', seed, memory = 'memfds'] = process.argv
const load = new Load(directory, Number(seed), memory as Memory)
let lifetimes: string | undefined
void textOf(process.stdin).then((line) => {
  lifetimes = line
})
while (lifetimes === undefined) {
  for (let count = 0; count < 5; count++) await load.step()
  await new Promise((resolve) => setImmediate(resolve))
}
process.stdout.write(`${JSON.stringify(load.check(JSON.parse(lifetimes) as Lifetimes))}\n`)
