/**
 * Reads the project's sources for the checks: which files there are, how long, what they import. Must not:
 * judge them.
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

export interface Source {
  /** Relative to the project, with forward slashes. */
  readonly path: string
  readonly text: string
  /** Relative imports resolved to project paths; packages and `node:` modules as they are written. */
  readonly imports: readonly string[]
}

export const FOLDERS = ['src', 'test', 'campaigns', 'bench', 'testbed', 'scripts'] as const

const STATEMENT = /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm
const BARE = /^\s*import\s*['"]([^'"]+)['"]/gm
const DYNAMIC = /\bimport\(\s*['"]([^'"]+)['"]/g
/** Workers and children are named by URL: they are used, though no source imports them. */
const BY_URL = /new URL\(\s*['"](\.[^'"]+\.ts)['"]/g

/** Specifiers of one file, in the order of the four forms above. Exported for its test. */
export function specifiers(text: string): string[] {
  return [STATEMENT, BARE, DYNAMIC, BY_URL].flatMap((form) =>
    [...text.matchAll(form)].map((match) => match[1] ?? ''),
  )
}

function resolve(from: string, specifier: string): string {
  return specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : specifier
}

export function readSources(project: string): Source[] {
  const paths = globSync(
    FOLDERS.map((folder) => `${folder}/**/*.ts`),
    { cwd: project },
  ).sort()
  return paths.map((path) => {
    const text = readFileSync(join(project, path), 'utf8')
    return { path, text, imports: specifiers(text).map((specifier) => resolve(path, specifier)) }
  })
}

/** Tests, and folders that hold nothing but what tests share: the built package has none of them. */
export const isTest = (path: string): boolean => path.endsWith('.test.ts') || /\/testing\//.test(path)
