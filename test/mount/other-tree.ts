/**
 * Another version of today's program, as a test runs it: a copy of the sources, with some of them changed.
 */
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
  /** Writes the file anew with `now` in the place of `was`. */
  readonly change: (path: string, was: string, now: string) => void
}

/** Its folder goes after the test: what is to be ended before is registered before. */
export function otherTree(t: TestContext, ...changes: Parameters<OtherTree['change']>[]): OtherTree {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-other-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
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
