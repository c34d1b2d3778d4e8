/**
 * A model of a directory: what must be in it, and nothing else. Must not: make a system call that changes
 * anything.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { getxattr, listxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import type { Span } from './lifetimes.ts'

export const XATTR = 'user.load'

export interface FileModel {
  text: string
  mode: number
  xattr: string | undefined
  /** Its memory was made somewhere in it. */
  made: Span
}

/** An error as Node's functions throw it, for a function that returns an errno. */
export const errorOf = (what: string, errno: Errno): Error =>
  Object.assign(new Error(`${what}: ${errno}`), { code: errno.name })

export class TreeModel {
  /** Name to file; a hard link shares the object. */
  readonly files = new Map<string, FileModel>()
  /** Name to target. */
  readonly links = new Map<string, string>()
  readonly folders = new Set<string>()

  file(name: string): FileModel {
    const file = this.files.get(name)
    if (file === undefined) throw new Error(`the model has no ${name}`)
    return file
  }

  /** rename(2) of one link onto another of the same file does nothing. */
  move(from: string, to: string): void {
    const file = this.file(from)
    if (file === this.files.get(to)) return
    this.files.set(to, file)
    this.files.delete(from)
  }

  copy(): TreeModel {
    const copied = new TreeModel()
    const files = new Map<FileModel, FileModel>()
    for (const [name, file] of this.files) {
      const other = files.get(file) ?? { ...file }
      files.set(file, other)
      copied.files.set(name, other)
    }
    for (const [name, target] of this.links) copied.links.set(name, target)
    for (const name of this.folders) copied.folders.add(name)
    return copied
  }

  /** Throws an `AssertionError` where the directory is another tree. `read` compares the text of a file. */
  compare(directory: string, read: (name: string, file: FileModel) => void): void {
    const wanted = [...this.files.keys(), ...this.folders, ...this.links.keys()]
    assert.deepEqual(fs.readdirSync(directory).sort(), wanted.sort())
    for (const [name, target] of this.links) assert.equal(fs.readlinkSync(join(directory, name)), target)
    for (const [name, file] of this.files) {
      this.#compareFile(join(directory, name), name, file)
      read(name, file)
    }
  }

  #compareFile(path: string, name: string, file: FileModel): void {
    const { mode, nlink, size } = fs.statSync(path)
    const links = [...this.files.values()].filter((each) => each === file).length
    assert.deepEqual([mode & 0o7777, nlink, size], [file.mode, links, file.text.length], name)
    const names = listxattr(path)
    if (names instanceof Errno) throw errorOf(`listxattr of ${name}`, names)
    assert.deepEqual(names, file.xattr === undefined ? [] : [XATTR], name)
    if (file.xattr === undefined) return
    const value = getxattr(path, XATTR)
    if (value instanceof Errno) throw errorOf(`getxattr of ${name}`, value)
    assert.equal(Buffer.from(value).toString(), file.xattr, name)
  }
}
