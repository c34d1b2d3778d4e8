/** Installed versions for a test: below a folder of its own, from any tree or package. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { bundle } from '../../scripts/build/bundle.ts'
import { LIBRARY } from '../../src/host/versions/version-folder.ts'
import { type OtherTree, otherTree } from './other-tree.ts'
import { type Outcome, runProgram, TREE } from './support.ts'

export class Installation {
  readonly prefix: string
  readonly library: string
  readonly launcher: string

  constructor(folder: string) {
    this.prefix = join(fs.realpathSync(folder), 'root')
    fs.mkdirSync(this.prefix)
    this.library = join(this.prefix, LIBRARY)
    this.launcher = join(this.library, 'current/guestmemfs')
  }

  /** Returns the folder of the version, which is the current one then. `words`: the arguments that run it. */
  async install(program: string, ...words: readonly string[]): Promise<string> {
    const { status, stderr } = await runProgram(program, [
      ...words,
      'install',
      '--yes',
      '--prefix',
      this.prefix,
    ])
    assert.deepEqual([stderr, status], ['', 0])
    return fs.realpathSync(join(this.library, 'current'))
  }

  run(...words: string[]): Promise<Outcome> {
    return runProgram(this.launcher, words)
  }
}

/** A former release: it reads image format 1 alone. */
export const formerTree = (t: TestContext): OtherTree =>
  otherTree(
    t,
    [
      'src/fs/image/image-format.ts',
      'NEWEST_VERSION: FormatVersion = 2',
      'NEWEST_VERSION: FormatVersion = 1',
    ],
    ['src/fs/image/header.ts', 'if (version === undefined)', 'if (version !== 1)'],
    ['package.json', '"version": "', '"version": "0.0.'],
  )

/** Builds the published package in `folder`, and returns its entry. */
export async function makePackage(folder: string): Promise<string> {
  await bundle(folder)
  fs.cpSync(join(TREE, 'package.json'), join(folder, 'package.json'))
  fs.symlinkSync(join(TREE, 'node_modules'), join(folder, 'node_modules'))
  return join(folder, 'dist/cli.js')
}

/** The file that a process executes. */
export const executableOf = (pid: number): string => fs.readlinkSync(`/proc/${pid}/exe`)
