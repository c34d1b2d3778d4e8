/**
 * A process that works on a mount and keeps a model of it: where an answer differs from the model, the file
 * system has lost or repeated an operation. Run with a directory, a seed and, if wanted, how many names there
 * may be at once; ends at the end of its standard input, then compares the whole tree with the model and
 * prints one JSON line.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { randomFrom } from '../../src/fs/image/testing/random.ts'

export interface LoadResult {
  readonly operations: number
  readonly files: number
}

const DEFAULT_MAX_NAMES = 40

class Load {
  readonly #directory: string
  readonly #random: (below: number) => number
  readonly #maxNames: number
  /** Name to contents; a hard link shares the object. */
  readonly #files = new Map<string, { text: string; mode: number }>()
  readonly #directories = new Set<string>()
  #serial = 0
  operations = 0

  constructor(directory: string, seed: number, maxNames: number) {
    this.#directory = directory
    this.#maxNames = maxNames
    this.#random = randomFrom(seed).below
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }

  #any(): string | undefined {
    const names = [...this.#files.keys()]
    return names[this.#random(Math.max(1, names.length))]
  }

  step(): void {
    this.operations++
    const name = this.#any()
    const isFull = this.#files.size >= this.#maxNames
    if (name === undefined || (!isFull && this.#random(3) === 0)) {
      this.#create()
      return
    }
    const actions = [
      this.#unlink,
      this.#rename,
      this.#replace,
      this.#link,
      this.#write,
      this.#chmod,
      this.#directory_,
      this.#refusals,
    ]
    actions[this.#random(actions.length)]?.call(this, name)
  }

  #create(): void {
    const name = `f${++this.#serial}`
    // Exclusive: a create that the server has applied and repeats answers EEXIST here.
    fs.closeSync(fs.openSync(this.#path(name), 'wx', 0o644))
    this.#files.set(name, { text: '', mode: 0o644 })
  }

  #unlink(name: string): void {
    fs.unlinkSync(this.#path(name))
    this.#files.delete(name)
  }

  #rename(name: string): void {
    const target = `r${++this.#serial}`
    fs.renameSync(this.#path(name), this.#path(target))
    this.#files.set(target, this.#files.get(name) as never)
    this.#files.delete(name)
  }

  #replace(name: string): void {
    const target = this.#any() as string
    fs.renameSync(this.#path(name), this.#path(target))
    const file = this.#files.get(name)
    // rename(2) of one link onto another of the same file does nothing.
    if (file === this.#files.get(target)) return
    this.#files.set(target, file as never)
    this.#files.delete(name)
  }

  #link(name: string): void {
    const target = `l${++this.#serial}`
    fs.linkSync(this.#path(name), this.#path(target))
    this.#files.set(target, this.#files.get(name) as never)
  }

  #write(name: string): void {
    const file = this.#files.get(name) as { text: string }
    const text = `${name} ${++this.#serial}\n`.repeat(1 + this.#random(50))
    fs.writeFileSync(this.#path(name), text)
    file.text = text
  }

  #chmod(name: string): void {
    const file = this.#files.get(name) as { mode: number }
    file.mode = 0o600 | this.#random(0o100)
    fs.chmodSync(this.#path(name), file.mode)
  }

  #directory_(): void {
    const name = `d${this.#random(8)}`
    if (this.#directories.delete(name)) fs.rmdirSync(this.#path(name))
    else {
      fs.mkdirSync(this.#path(name))
      this.#directories.add(name)
    }
  }

  #refusals(name: string): void {
    assert.throws(() => fs.openSync(this.#path(name), 'wx'), { code: 'EEXIST' })
    assert.throws(() => fs.unlinkSync(this.#path(`absent${this.#serial}`)), { code: 'ENOENT' })
  }

  /** Checks that every acknowledged change is there, and nothing else. */
  check(): void {
    const names = fs.readdirSync(this.#directory).sort()
    assert.deepEqual(names, [...this.#files.keys(), ...this.#directories].sort())
    for (const [name, { text, mode }] of this.#files) {
      const stat = fs.statSync(this.#path(name))
      const links = [...this.#files.values()].filter((file) => file === this.#files.get(name)).length
      assert.equal(fs.readFileSync(this.#path(name), 'utf8'), text, name)
      assert.deepEqual([stat.mode & 0o7777, stat.nlink, stat.size], [mode, links, text.length], name)
    }
  }

  get files(): number {
    return this.#files.size
  }
}

const [, , directory, seed, maxNames = DEFAULT_MAX_NAMES] = process.argv
const load = new Load(directory as string, Number(seed), Number(maxNames))
let isOver = false
process.stdin.on('end', () => {
  isOver = true
})
process.stdin.resume()
while (!isOver) {
  for (let count = 0; count < 20; count++) load.step()
  await new Promise((resolve) => setImmediate(resolve))
}
load.check()
process.stdout.write(
  `${JSON.stringify({ operations: load.operations, files: load.files } satisfies LoadResult)}\n`,
)
