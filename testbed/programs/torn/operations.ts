/**
 * A run of metadata operations that a seed determines: each is one system call, so that a file system that is
 * interrupted at any moment has applied the first N of them and nothing of the next. The same run gives the
 * expected tree.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { randomFrom } from '../../../src/fs/image/testing/random.ts'
import { setxattr } from '../../../src/linux/xattr.ts'
import { Errno } from '../../../src/values/errno.ts'

interface File {
  text: string
  mode: number
  note: string
}

/** One step on the directory. `next` has changed the model already when it returns it. */
export type Act = (directory: string) => void

export const XATTR = 'user.note'
const MOST_NAMES = 40

export class Operations {
  readonly #random: (below: number) => number
  /** A hard link shares the object. */
  readonly #files = new Map<string, File>()
  readonly #directories = new Set<string>()
  readonly #symlinks = new Map<string, string>()
  #count = 0

  constructor(seed: number) {
    this.#random = randomFrom(seed).below
  }

  /** How many `next` has returned. */
  get count(): number {
    return this.#count
  }

  next(): Act {
    this.#count++
    const names = [...this.#files.keys()]
    const name = names[this.#random(Math.max(1, names.length))]
    if (name === undefined || (names.length < MOST_NAMES && this.#random(3) === 0)) return this.#create()
    const file = this.#files.get(name) as File
    switch (this.#random(8)) {
      case 0:
        return this.#unlink(name)
      case 1:
        return this.#rename(name, `renamed-${this.#count}`, file)
      case 2:
        return this.#rename(name, names[this.#random(names.length)] as string, file)
      case 3:
        return this.#link(name, file)
      case 4:
        return this.#append(name, file)
      case 5:
        return this.#chmod(name, file)
      case 6:
        return this.#annotate(name, file)
      default:
        return this.#random(2) === 0 ? this.#directory() : this.#symlink(name)
    }
  }

  /** The tree after `count` operations, in the format of `describe`. */
  expected(): string[] {
    const files = [...this.#files].map(([name, file]) => {
      const links = [...this.#files.values()].filter((other) => other === file).length
      return fileLine(name, file.mode, links, file.text, file.note)
    })
    const directories = [...this.#directories].map((name) => `${name}/`)
    const symlinks = [...this.#symlinks].map(([name, target]) => `${name} -> ${target}`)
    return [...files, ...directories, ...symlinks].sort()
  }

  #create(): Act {
    const name = `file-${this.#count}`
    this.#files.set(name, { text: '', mode: 0o644, note: '' })
    return (directory) => fs.closeSync(fs.openSync(join(directory, name), 'wx', 0o644))
  }

  #unlink(name: string): Act {
    this.#files.delete(name)
    return (directory) => fs.unlinkSync(join(directory, name))
  }

  #rename(name: string, target: string, file: File): Act {
    // rename(2) of one link onto another of the same file does nothing.
    if (this.#files.get(target) !== file) {
      this.#files.delete(name)
      this.#files.set(target, file)
    }
    return (directory) => fs.renameSync(join(directory, name), join(directory, target))
  }

  #link(name: string, file: File): Act {
    const target = `link-${this.#count}`
    this.#files.set(target, file)
    return (directory) => fs.linkSync(join(directory, name), join(directory, target))
  }

  /** Never overwrites: a write over existing bytes is not atomic. */
  #append(name: string, file: File): Act {
    const text = `${name} ${this.#count}\n`.repeat(1 + this.#random(20))
    file.text += text
    return (directory) => {
      const fd = fs.openSync(join(directory, name), 'a')
      fs.writeSync(fd, text)
      fs.closeSync(fd)
    }
  }

  #chmod(name: string, file: File): Act {
    const mode = 0o600 | this.#random(0o100)
    file.mode = mode
    return (directory) => fs.chmodSync(join(directory, name), mode)
  }

  #annotate(name: string, file: File): Act {
    const note = `note ${this.#count}`
    file.note = note
    return (directory) => {
      const failed = setxattr(join(directory, name), XATTR, Buffer.from(note))
      if (failed instanceof Errno) throw new Error(`setxattr ${name}: ${failed}`)
    }
  }

  #directory(): Act {
    const name = `directory-${this.#random(8)}`
    if (this.#directories.delete(name)) return (directory) => fs.rmdirSync(join(directory, name))
    this.#directories.add(name)
    return (directory) => fs.mkdirSync(join(directory, name))
  }

  #symlink(target: string): Act {
    const name = `symlink-${this.#random(8)}`
    if (this.#symlinks.delete(name)) return (directory) => fs.unlinkSync(join(directory, name))
    this.#symlinks.set(name, target)
    return (directory) => fs.symlinkSync(target, join(directory, name))
  }
}

/** One line for each name: all that the operations can change. */
export const fileLine = (name: string, mode: number, links: number, text: string, note: string): string =>
  `${name} ${mode.toString(8)} ${links} '${note}' ${JSON.stringify(text)}`
