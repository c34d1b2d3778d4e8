/**
 * A process that works on a mount and has a model of it: all acknowledged changes must be there, exactly
 * once, and nothing else. Run with a directory and a seed. A line on its standard input ends it: which
 * process ran when, as the JSON of `Lives`. Then it compares the whole tree and prints one JSON line.
 *
 * It allows, and counts, two answers that no other file system gives: while no keeper runs, the server
 * refuses a new file with EIO; and the memory of a file may be lost, which is EIO to its reader, where both
 * processes died before a keeper had run for some seconds since the file was made.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { getxattr, listxattr, setxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'

/** From, to: milliseconds since the epoch. */
export type Span = readonly [number, number]

export interface Lives {
  /** No process held all of the pool; it began somewhere in each of these. */
  readonly bothDied: readonly Span[]
  /** The time of each keeper, from when the record named it. */
  readonly keepers: readonly Span[]
}

export interface LoadResult {
  readonly operations: number
  readonly files: number
  readonly refused: number
  readonly lost: number
  /** The longest time for which a keeper held a file whose memory is lost. */
  readonly longestHeldMs: number
}

const MOST_NAMES = 14
/** As long as the service manager may take to receive a descriptor that a keeper has, on a busy machine. */
const LOSS_MS = 10_000
const XATTR = 'user.load'

interface File {
  text: string
  mode: number
  xattr: string | undefined
  /** Its memory was made somewhere in it. */
  made: Span
}

const isEio = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EIO'

class Load {
  readonly #directory: string
  readonly #random: ReturnType<typeof randomFrom>
  /** Name to file; a hard link shares the object. */
  readonly #files = new Map<string, File>()
  readonly #links = new Map<string, string>()
  readonly #folders = new Set<string>()
  #serial = 0
  #operations = 0
  #refused = 0
  readonly #losses: { readonly name: string; readonly made: Span }[] = []

  constructor(directory: string, seed: number) {
    this.#directory = directory
    this.#random = randomFrom(seed)
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }

  step(): void {
    this.#operations++
    const name = this.#files.size === 0 ? undefined : this.#random.pick([...this.#files.keys()])
    if (name === undefined || (this.#files.size < MOST_NAMES && this.#random.below(3) === 0)) this.#create()
    else this.#random.pick(this.#actions)(name)
  }

  /** Exclusive: a create that the server has applied and repeats answers EEXIST here. */
  #create(): void {
    const name = `f${++this.#serial}`
    const startMs = Date.now()
    try {
      fs.closeSync(fs.openSync(this.#path(name), 'wx', 0o644))
    } catch (error) {
      if (!isEio(error)) throw error
      assert.equal(fs.existsSync(this.#path(name)), false, `${name} was refused and is there`)
      this.#refused++
      return
    }
    this.#files.set(name, { text: '', mode: 0o644, xattr: undefined, made: [startMs, Date.now()] })
  }

  readonly #actions: readonly ((name: string) => void)[] = [
    (name) => {
      fs.unlinkSync(this.#path(name))
      this.#files.delete(name)
    },
    (name) => this.#move(name, `r${++this.#serial}`),
    (name) => this.#move(name, this.#random.pick([...this.#files.keys()])),
    (name) => {
      const link = `l${++this.#serial}`
      fs.linkSync(this.#path(name), this.#path(link))
      this.#files.set(link, this.#files.get(name) as File)
    },
    (name) => this.#write(name),
    (name) => this.#write(name),
    (name) => {
      const file = this.#files.get(name) as File
      file.mode = 0o600 | this.#random.below(0o100)
      fs.chmodSync(this.#path(name), file.mode)
    },
    (name) => {
      const value = String(++this.#serial)
      const refused = setxattr(this.#path(name), XATTR, Buffer.from(value))
      if (refused !== undefined) throw new Error(`setxattr of ${name}: ${refused}`)
      ;(this.#files.get(name) as File).xattr = value
    },
    () => this.#folder(),
    () => this.#symlink(),
    (name) => {
      assert.throws(() => fs.openSync(this.#path(name), 'wx'), { code: 'EEXIST' })
      assert.throws(() => fs.unlinkSync(this.#path(`absent${this.#serial}`)), { code: 'ENOENT' })
    },
  ]

  /** rename(2) of one link onto another of the same file does nothing. */
  #move(from: string, to: string): void {
    fs.renameSync(this.#path(from), this.#path(to))
    const file = this.#files.get(from) as File
    if (file === this.#files.get(to)) return
    this.#files.set(to, file)
    this.#files.delete(from)
  }

  /**
   * Reads the file first. One whose memory is lost gets new memory when it is truncated to 0; while no keeper
   * runs, the server refuses that, and the load deletes the file.
   */
  #write(name: string): void {
    const file = this.#files.get(name) as File
    const isLost = this.#read(name, file) === undefined
    const text = `${name} ${++this.#serial}\n`.repeat(1 + this.#random.below(50))
    const startMs = Date.now()
    try {
      fs.writeFileSync(this.#path(name), text)
    } catch (error) {
      if (!isEio(error)) throw error
      // Reading an empty file does not show a loss.
      if (!isLost) this.#losses.push({ name, made: file.made })
      this.#refused++
      for (const [other, each] of this.#files) if (each === file) fs.unlinkSync(this.#path(other))
      for (const [other, each] of this.#files) if (each === file) this.#files.delete(other)
      return
    }
    if (isLost) file.made = [startMs, Date.now()]
    file.text = text
  }

  /** undefined: its memory is lost, which `check` judges. */
  #read(name: string, { text, made }: File): string | undefined {
    try {
      const found = fs.readFileSync(this.#path(name), 'utf8')
      assert.equal(found, text, name)
      return found
    } catch (error) {
      if (!isEio(error)) throw error
      this.#losses.push({ name, made })
      return undefined
    }
  }

  #folder(): void {
    const name = `d${this.#random.below(8)}`
    if (this.#folders.delete(name)) fs.rmdirSync(this.#path(name))
    else {
      fs.mkdirSync(this.#path(name))
      this.#folders.add(name)
    }
  }

  #symlink(): void {
    const name = `s${this.#random.below(8)}`
    if (this.#links.delete(name)) fs.unlinkSync(this.#path(name))
    else {
      const target = `nowhere/${++this.#serial}`
      fs.symlinkSync(target, this.#path(name))
      this.#links.set(name, target)
    }
  }

  check(lives: Lives): LoadResult {
    const wanted = [...this.#files.keys(), ...this.#folders, ...this.#links.keys()]
    assert.deepEqual(fs.readdirSync(this.#directory).sort(), wanted.sort())
    for (const [name, target] of this.#links) assert.equal(fs.readlinkSync(this.#path(name)), target)
    for (const [name, file] of this.#files) this.#checkFile(name, file)
    let longestHeldMs = 0
    for (const { name, made } of this.#losses) {
      const heldMs = heldBeforeLoss(made, lives)
      const told = `${name} is lost, made in ${made}; a keeper had it for ${heldMs} ms before both died`
      assert.ok(heldMs < LOSS_MS, `${told}: ${JSON.stringify(lives)}`)
      longestHeldMs = Math.max(longestHeldMs, heldMs)
    }
    const { size: files } = this.#files
    const [operations, refused, lost] = [this.#operations, this.#refused, this.#losses.length]
    return { operations, files, refused, lost, longestHeldMs }
  }

  #checkFile(name: string, file: File): void {
    const { mode, nlink, size } = fs.statSync(this.#path(name))
    const links = [...this.#files.values()].filter((each) => each === file).length
    assert.deepEqual([mode & 0o7777, nlink, size], [file.mode, links, file.text.length], name)
    const names = listxattr(this.#path(name))
    assert.deepEqual(names, file.xattr === undefined ? [] : [XATTR], name)
    const value = getxattr(this.#path(name), XATTR)
    assert.equal(value instanceof Errno ? undefined : Buffer.from(value).toString(), file.xattr, name)
    this.#read(name, file)
  }
}

/**
 * The longest time for which one keeper held a file before the first death of both after it was made. Both
 * may die between its making and the answer that this process waits for.
 */
function heldBeforeLoss([startMs, madeMs]: Span, { bothDied, keepers }: Lives): number {
  const death = bothDied.find(([, toMs]) => toMs >= startMs)
  if (death === undefined) return Infinity
  const held = keepers.map(([from, to]) => Math.min(to, death[0]) - Math.max(from, madeMs))
  return Math.max(0, ...held)
}

const [, , directory = '', seed] = process.argv
const load = new Load(directory, Number(seed))
let lives: string | undefined
void textOf(process.stdin).then((line) => {
  lives = line
})
while (lives === undefined) {
  for (let count = 0; count < 5; count++) load.step()
  await new Promise((resolve) => setImmediate(resolve))
}
process.stdout.write(`${JSON.stringify(load.check(JSON.parse(lives) as Lives))}\n`)
