/**
 * `npm run check`: types, style, the import rule, file sizes, comments, dead files, links, promises; one line
 * each.
 * Must not: change a file, except with `--fix`, by which biome corrects style and comments are filled.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { asFunctions, commentProblems, refill } from './check/comments.ts'
import { importProblems } from './check/imports.ts'
import { linkProblems, readLinkedTree } from './check/links.ts'
import { openingProblems, sizeProblems } from './check/size.ts'
import { readSources, type Source } from './check/sources.ts'
import { readResults, specificationProblems } from './check/specification.ts'
import { spelledTwiceProblems } from './check/spelled-once.ts'
import { unusedProblems } from './check/unused.ts'

const project = dirname(import.meta.dirname)
const isFixing = process.argv.includes('--fix')
const bin = (name: string): string => join(project, 'node_modules/.bin', name)
const readText = (path: string): string => readFileSync(join(project, path), 'utf8')

/** A check returns its problems, one a line; none is a pass. */
interface Check {
  readonly name: string
  readonly problems: (sources: readonly Source[]) => string[]
}

/**
 * Both tools are started through a shell-free spawn of what npm linked; their `#!/usr/bin/env node` must find
 * Node 24.
 */
function tool(name: string, args: readonly string[]): string[] {
  const path = `${dirname(process.execPath)}:${process.env.PATH ?? ''}`
  const { status, stdout, stderr, error } = spawnSync(bin(name), args, {
    cwd: project,
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
    maxBuffer: 64 * 1024 * 1024,
  })
  if (error) return [`${name} did not start: ${error.message}`]
  return status === 0 ? [] : `${stdout}${stderr}`.trimEnd().split('\n')
}

const CHECKS: readonly Check[] = [
  { name: 'types', problems: () => tool('tsc', ['-p', '.', '--pretty', 'false']) },
  {
    name: 'style',
    problems: () => tool('biome', ['check', '--error-on-warnings', ...(isFixing ? ['--write'] : []), '.']),
  },
  { name: 'imports', problems: importProblems },
  { name: 'size', problems: sizeProblems },
  { name: 'openings', problems: openingProblems },
  { name: 'comments', problems: commentProblems },
  { name: 'spelled once', problems: spelledTwiceProblems },
  {
    name: 'unused files',
    problems: (sources) => unusedProblems(sources, readText('package.json')),
  },
  { name: 'links', problems: (sources) => linkProblems(sources, readLinkedTree(project)) },
  {
    name: 'specification',
    problems: (sources) =>
      specificationProblems(readText('SPECIFICATION.md'), { sources, results: readResults(project) }),
  },
]

if (isFixing)
  for (const { path, text } of readSources(project)) {
    const fixed = refill(asFunctions(text))
    if (fixed !== text) writeFileSync(join(project, path), fixed)
  }
const sources = readSources(project)
let failed = 0
for (const { name, problems } of CHECKS) {
  const started = performance.now()
  const found = problems(sources)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stdout.write(
    `${found.length === 0 ? 'ok    ' : 'FAILED'}  ${name.padEnd(14)} ${seconds.padStart(5)} s\n`,
  )
  for (const line of found) process.stdout.write(`        ${line}\n`)
  if (found.length > 0) failed += 1
}
process.stdout.write(`${CHECKS.length - failed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1
