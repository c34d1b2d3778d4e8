/**
 * Tests of the comment check: it fills prose, leaves everything else as it is, and finds each problem once.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asFunctions, commentProblems, refill, WIDTH } from './comments.ts'

const words = (count: number): string => Array.from({ length: count }, (_, index) => `word${index}`).join(' ')
const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length))
const found = (text: string): string[] => commentProblems([{ path: 'src/fs/a.ts', text, imports: [] }])

test('prose is filled to the width, whatever marks and indentation it has, and then stays', () => {
  for (const text of [
    `/** ${words(60)} */\n`,
    `  /** ${words(60)} */\n  f()\n`,
    `/*\n * ${words(3)}\n * ${words(50)}\n */\n`,
    `  // ${words(40)}\n  // ${words(2)}\n  f()\n`,
  ]) {
    const filled = refill(text)
    assert.ok(widest(filled) <= WIDTH, filled)
    assert.ok(widest(filled) > WIDTH - 8, filled)
    assert.equal(refill(filled), filled)
    const bare = (of: string): string[] => of.match(/word\d+/g) ?? []
    assert.deepEqual(bare(filled), bare(text))
  }
})

test('a comment that fits on one line becomes one', () => {
  assert.equal(refill('/**\n * Short\n * enough.\n */\n'), '/** Short enough. */\n')
})

test('lists, tables, aligned text and empty lines stay where they are', () => {
  for (const text of [
    `/**\n * One:\n *\n * - an item of a list\n *   and what hangs below it\n * - another\n */\n`,
    `/**\n * Names:\n *\n *   first    what it is\n *   second   what it is not\n */\n`,
    `/**\n * Says what.\n * Must not: do that.\n */\n`,
    `const a = 1 /* in code */ + 2\n`,
    `// biome-ignore lint/suspicious/noConsole: a program\nf()\n`,
  ])
    assert.equal(refill(text), text)
})

test('a name in backticks is not cut in two', () => {
  const name = '`a name of several words`'
  for (let before = WIDTH - 40; before < WIDTH; before++)
    assert.ok(refill(`/** ${'x'.repeat(before)} ${name} and more of it */\n`).includes(name))
})

test('what is not filled, two doc comments in a row and a function written as an arrow are problems', () => {
  assert.deepEqual(found('/** A file. */\n\n/** A thing. */\nconst f = () => 1\n'), [])
  assert.match(found(`/** ${words(60)} */\n`)[0] ?? '', /npm run fix/)
  assert.match(found(`f() // ${words(40)}\n`)[0] ?? '', /:1: a comment of \d+ columns/)
  assert.match(found('/** One. */\n/** Two. */\nf()\n')[0] ?? '', /:1: two doc comments/)
  assert.match(found('const f = (a: number) => {\n  return a\n}\n')[0] ?? '', /f has statements/)
})

test('an arrow with statements becomes a function with the same signature; what is no plain function stays', () => {
  const cases: [string, string][] = [
    ['export const f = (a: (b: 1) => 2): 3 => {\n}', 'export function f(a: (b: 1) => 2): 3 {\n}'],
    ['const f = async <T>(a: T) => {\n}', 'async function f<T>(a: T) {\n}'],
    ['const f = (\n  a: 1,\n  b: 2,\n): 3 => {\n}', 'function f(\n  a: 1,\n  b: 2,\n): 3 {\n}'],
  ]
  for (const [before, after] of cases) assert.equal(asFunctions(`${before}\n`), `${after}\n`)
  for (const same of ['const f = () => 1\n', 'const f = () => () => {\n}\n', 'const f: G = (a) => {\n}\n'])
    assert.equal(asFunctions(same), same)
})
