/** Another version of today's program for a test: a copy of the sources, with some of them changed. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Outcome, runProgram } from './support.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))

export interface OtherTree {
  readonly folder: string
  readonly run: (...words: string[]) => Promise<Outcome>
  /** Replaces `was` by `now` in the file. */
  readonly change: (path: string, was: string, now: string) => void
}

type Change = Parameters<OtherTree['change']>

/** The folder is removed after the test: register what must end before that before this call. */
export function otherTree(t: TestContext, ...changes: Change[]): OtherTree {
  const tree = makeOtherTree(...changes)
  t.after(() => rmSync(tree.folder, { recursive: true, force: true }))
  return tree
}

/** The caller removes the folder. */
export function makeOtherTree(...changes: Change[]): OtherTree {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-other-'))
  for (const name of ['src', 'package.json'])
    cpSync(join(PROJECT, name), join(folder, name), { recursive: true })
  symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
  const change: OtherTree['change'] = (path, was, now) => {
    const text = readFileSync(join(folder, path), 'utf8')
    if (!text.includes(was)) throw new Error(`${path} has no '${was}'`)
    writeFileSync(join(folder, path), text.replace(was, now))
  }
  for (const each of changes) change(...each)
  const run = (...words: string[]) => runProgram(process.execPath, [join(folder, 'src/cli.ts'), ...words])
  return { folder, run, change }
}
