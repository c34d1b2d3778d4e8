/**
 * The dead-file check: every source is imported by another one, is a test, or is a program that
 * `package.json` or another source names. Must not: look for unused names, which tsc and biome find.
 */
import { basename } from 'node:path'
import { isTest, type Source } from './sources.ts'

/** Programs: those that package.json names, and those that a shell can start. */
function entries(packageJson: string, sources: readonly Source[]): Set<string> {
  const named = [...packageJson.matchAll(/[\w./-]+\.ts\b/g)].map((match) => match[0])
  const programs = sources.filter(({ text }) => text.startsWith('#!')).map(({ path }) => path)
  return new Set(['src/cli.ts', ...named, ...programs])
}

/**
 * Workers and other processes are started by path: a string that ends in `NAME.ts`, or in `NAME` before the
 * extension is added.
 */
const STARTED = /['"`/]([\w-]+)(?:\.ts['"`]|\$\{import\.meta)/g

const startedNames = (sources: readonly Source[]): Set<string> =>
  new Set(sources.flatMap(({ text }) => [...text.matchAll(STARTED)].map((match) => `${match[1]}.ts`)))

/** An import of a file's namesake in another folder does not start it. */
const withoutImports = (text: string): string => text.replace(/\bfrom\s*['"][^'"]+['"]/g, '')

export function unusedProblems(sources: readonly Source[], packageJson: string): string[] {
  const used = entries(packageJson, sources)
  for (const { path, imports } of sources) {
    // A source that only tests use is no part of the product: it belongs into a folder `testing`, or must go.
    for (const to of imports)
      if (to !== path && (!isTest(path) || isTest(to) || !to.startsWith('src/'))) used.add(to)
  }
  const started = startedNames(sources.map((source) => ({ ...source, text: withoutImports(source.text) })))
  return sources
    .filter(({ path }) => !path.endsWith('.test.ts') && !used.has(path) && !started.has(basename(path)))
    .map(({ path }) => `${path}: nothing but tests uses it, and no program starts it`)
}
