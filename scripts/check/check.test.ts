/** Tests of the checks: each rule must find its problem. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cycles, importProblems } from './imports.ts'
import { LINES_MAX, openingProblems, sizeProblems } from './size.ts'
import { type Source, specifiers } from './sources.ts'
import { spelledTwiceProblems } from './spelled-once.ts'
import { unusedProblems } from './unused.ts'

const source = (path: string, imports: string[] = [], text = '/** owns */\n'): Source => ({
  path,
  text,
  imports,
})

test('every form of import is seen, and words in strings are not', () => {
  const text = [
    "import a from './a.ts'",
    "import type { B } from './b.ts'",
    "import {\n  c,\n} from './c.ts'",
    "export { d } from './d.ts'",
    "import './e.ts'",
    "const f = await import('./f.ts')",
    "new Worker(new URL('./g.ts', import.meta.url))",
    "const no = 'taken from here'",
  ].join('\n')
  assert.deepEqual(
    specifiers(text).sort(),
    ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `./${name}.ts`),
  )
})

test('a room may import what its row says and nothing else', () => {
  const good = [
    source('src/fs/a.ts', ['src/values/ids.ts', 'src/stores/store.ts', 'node:zlib']),
    source('src/linux/library.ts', ['koffi', 'node:fs']),
    source('src/fs/a.test.ts', ['src/linux/library.ts', 'node:test']),
  ]
  assert.deepEqual(importProblems(good), [])
  const bad: [string, string][] = [
    ['src/fs/a.ts', 'src/stores/memfd/memfd-store.ts'],
    ['src/fs/a.ts', 'node:fs'],
    ['src/fs/a.ts', 'src/linux/library.ts'],
    ['src/values/a.ts', 'src/linux/library.ts'],
    ['src/qemu/a.ts', 'koffi'],
    ['src/qemu/a.test.ts', 'koffi'],
    ['bench/a.ts', 'koffi'],
    ['src/commands/a.ts', 'testbed/main.ts'],
    ['src/attic/a.ts', 'src/values/ids.ts'],
  ]
  for (const [path, to] of bad)
    assert.equal(importProblems([source(path, [to])]).length, 1, `${path} → ${to}`)
})

test('a cycle is named once, from its first file on', () => {
  const found = cycles([
    source('src/fs/a.ts', ['src/fs/b.ts']),
    source('src/fs/b.ts', ['src/fs/c.ts']),
    source('src/fs/c.ts', ['src/fs/b.ts']),
  ])
  assert.deepEqual(found, ['src/fs/b.ts → src/fs/c.ts → src/fs/b.ts'])
})

test('a file over the limit, one without an opening comment and one that no file imports are found', () => {
  const long = source('src/fs/long.ts', [], 'x\n'.repeat(LINES_MAX + 1))
  assert.equal(sizeProblems([long]).length, 1)
  assert.equal(sizeProblems([source('src/fs/ok.ts', [], 'x\n'.repeat(LINES_MAX))]).length, 0)
  assert.equal(openingProblems([long]).length, 1)
  const sources = [source('src/cli.ts', ['src/fs/a.ts']), source('src/fs/a.ts'), source('src/fs/dead.ts')]
  assert.equal(unusedProblems(sources, '{}').length, 1)
  const tested = [...sources, source('src/fs/dead.test.ts', ['src/fs/dead.ts'])]
  assert.equal(unusedProblems(tested, '{}').length, 1, 'a test alone keeps no file alive')
  assert.equal(unusedProblems(sources, '{"x": "sh scripts/run src/fs/dead.ts"}').length, 0)
})

test('an xattr name, a kind of store and a size that has a name are found outside of their one place', () => {
  const one = (text: string, path = 'src/fs/a.ts') => spelledTwiceProblems([source(path, [], text)])
  assert.match(one("\nget('trusted.guestmemfs.vm')\n")[0] ?? '', /a\.ts:2: .*xattr-names\.ts$/)
  assert.equal(one('const PAGE_BYTES = 1024 * 1024\n').length, 1)
  assert.deepEqual(one("get('user.guestmemfs')\nconst LINES = 4096\n"), [])
  assert.deepEqual(one("get('guestmemfs.map')\n", 'src/fs/a.test.ts'), [])
  assert.equal(one("if (source.kind !== 'memfd' && store === 'dax') go()\n").length, 2)
  assert.deepEqual(one("if (store === 'dax') go()\n", 'src/qemu/a.ts'), [])
  assert.deepEqual(one("const MAP = 'guestmemfs.map'\n", 'src/values/xattr-names.ts'), [])
})

test('no two files of the product have one name, but the first of a process', () => {
  const same = (...paths: string[]) => spelledTwiceProblems(paths.map((path) => source(path)))
  assert.deepEqual(same('src/fs/a.ts', 'src/server/a.ts'), ['src/server/a.ts: src/fs/a.ts has the same name'])
  assert.deepEqual(same('src/fs/a.ts', 'test/vm/a.ts', 'src/server/a.test.ts'), [])
  assert.deepEqual(same('src/keeper/main.ts', 'src/server/main.ts'), [])
})

test('no two files of src export a type of one name, those that tests share included', () => {
  const types = (...files: [string, string][]) =>
    spelledTwiceProblems(files.map(([path, text]) => source(path, [], text)))
  assert.deepEqual(
    types(
      ['src/fs/a.ts', 'export type Answer = string\n'],
      ['src/qemu/testing/b.ts', '/** b */\nexport abstract class Answer {}\n'],
    ),
    ['src/qemu/testing/b.ts: src/fs/a.ts exports a type Answer, too'],
  )
  assert.deepEqual(
    types(
      ['src/fs/a.ts', 'export class Answer {}\nexport interface Answer {}\n'],
      ['src/fs/b.ts', 'interface Answer {}\nexport type { Answer } from "./a.ts"\n'],
      ['test/mount/c.ts', 'export type Answer = string\n'],
    ),
    [],
  )
})

test('no two files of the product export a function or a constant of one name, but the commands', () => {
  const values = (...files: [string, string][]) =>
    spelledTwiceProblems(files.map(([path, text]) => source(path, [], text)))
  assert.deepEqual(
    values(
      ['src/fs/a.ts', 'export async function seek(): Promise<void> {}\n'],
      ['src/linux/b.ts', 'export const seek = 1\nexport const command = 1\n'],
      ['src/linux/c.ts', 'const seek = 1\nexport const command = 2\n'],
      ['src/linux/testing/d.ts', 'export const seek = 1\n'],
    ),
    ['src/linux/b.ts: src/fs/a.ts exports seek, too'],
  )
})
