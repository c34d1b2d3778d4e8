/**
 * A key of the present contents of what is tested, committed or not: other contents have another key, and so
 * another campaign.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { contentKey } from './cache.ts'

/** Files that no run executes. */
const UNTESTED = /\.(?:md|test\.ts)$/

/** A short name for the content of the files below `names`, folders and files of `project`, and of `more`. */
export function testedKey(project: string, names: readonly string[], ...more: readonly string[]): string {
  const files = names
    .flatMap((name) => filesUnder(join(project, name)))
    .filter((file) => !UNTESTED.test(file))
    .toSorted()
  return contentKey(...files.flatMap((file) => [relative(project, file), readFileSync(file)]), ...more)
}

function filesUnder(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  const entries = readdirSync(path, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}
