/**
 * Former commits of this repository, from its history: tests run their programs beside today's, which must
 * read what they leave.
 *
 * Must not: run them. Packages are today's: what a former commit's lock file names is not fetched.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../src/values/errors.ts'

const PROJECT = join(import.meta.dirname, '..')
const NEEDED = ['src', 'package.json'] as const
const MAX_ARCHIVE_BYTES = 64 * 2 ** 20

/** The first tree whose pools, records and images today's program reads. */
export const OLDEST = 'f8cb29b5d16a322e688d934650860ac7253782b6'

const git = (...words: string[]): Buffer =>
  execFileSync('git', ['-C', PROJECT, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: MAX_ARCHIVE_BYTES,
  })

/** Why `commit` is not available here, or undefined. */
export function olderObstacle(commit: string): string | undefined {
  try {
    git('cat-file', '-e', `${commit}^{tree}`)
    return undefined
  } catch (error) {
    const said = String((error as { stderr?: Buffer }).stderr ?? error).trim()
    return `commit ${commit.slice(0, 7)} is not in this copy's history (${said.split('\n')[0]})`
  }
}

/**
 * Makes `folder`: the sources of `commit`, with `modules` as their node_modules. Errors: UsageError, for want
 * of history.
 */
export function takeOlder(commit: string, folder: string, modules = join(PROJECT, 'node_modules')): void {
  const obstacle = olderObstacle(commit)
  if (obstacle !== undefined) throw new UsageError(obstacle)
  mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', commit, ...NEEDED) })
  symlinkSync(modules, join(folder, 'node_modules'))
}
