/**
 * All that a program needs to run, wherever it was found: its own files, the packages that it loads, and the
 * Node that runs it. Must not: copy them.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { UsageError } from '../../values/errors.ts'
import type { Program } from '../this-program.ts'

export interface ProgramFile {
  /** Below the version's folder. */
  readonly path: string
  readonly source: string
  readonly isExecutable: boolean
}

export const NODE_PATH = 'bin/node'
/** Manual pages and completions. Former versions have none. */
export const SHARE = 'share'

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** Throws UsageError where a package that it needs is not there. */
export function programFiles({ node, root, entry }: Program): ProgramFile[] {
  const own = [
    'package.json',
    ...[dirname(entry), SHARE]
      .filter((folder) => existsSync(join(root, folder)))
      .flatMap((folder) => filesBelow(join(root, folder)).map((path) => join(folder, path)))
      .filter((path) => !path.endsWith('.test.ts') && !path.includes('/testing/')),
  ].map((path) => ({ path, source: join(root, path) }))
  const packages = [...neededPackages(root)].flatMap(([name, source]) =>
    filesBelow(source).map((path) => ({
      path: join('node_modules', name, path),
      source: join(source, path),
    })),
  )
  return [...own, ...packages, { path: NODE_PATH, source: node }]
    .map((file) => ({ ...file, isExecutable: (statSync(file.source).mode & 0o111) !== 0 }))
    .sort((one, other) => (one.path < other.path ? -1 : 1))
}

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && !entry.parentPath.endsWith('/.bin'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))

/** By name, the folder of each. A package inside of another one is copied with that. */
function neededPackages(root: string): Map<string, string> {
  const found = new Map<string, string>()
  const add = (from: string): void => {
    const text = readFileSync(join(from, 'package.json'), 'utf8')
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(text) as Package
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const folder = findPackage(name, from)
      if (folder === undefined) {
        if (Object.hasOwn(optionalDependencies, name)) continue
        throw new UsageError(`the package ${name} is not there: install guestmemfs anew with npm`)
      }
      if (found.get(name) === folder || isInside(folder, found.values())) continue
      if (found.has(name))
        throw new UsageError(`there are two packages ${name}: install guestmemfs by itself with npm`)
      found.set(name, folder)
      add(folder)
    }
  }
  add(root)
  return found
}

/** As Node looks for it: beside the package that imports it, then ever further up. */
function findPackage(name: string, from: string): string | undefined {
  const folder = join(from, 'node_modules', name)
  if (existsSync(join(folder, 'package.json'))) return folder
  return from === '/' ? undefined : findPackage(name, dirname(from))
}

const isInside = (folder: string, others: Iterable<string>): boolean =>
  [...others].some((other) => folder.startsWith(`${other}/`))
