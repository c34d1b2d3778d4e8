/** Tests of the check of references: each kind of broken one is found, and no other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkProblems } from './links.ts'

/** Not written in one word: the check reads this file as well. */
const DOCS = 'docs'
const PATHS = ['README.md', DOCS, `${DOCS}/guide`, `${DOCS}/guide/a.md`, `${DOCS}/b.md`, 'src', 'src/c.ts']

/** The problems of a tree of which one page, in the folder `guide`, has this text. */
function problemsOf(text: string, source = ''): string[] {
  const documents = [
    { path: `${DOCS}/guide/a.md`, text },
    { path: `${DOCS}/b.md`, text: '# B\n\n## Once more: `run`\n\n## Twice\n\n## Twice\n' },
  ]
  return linkProblems([{ path: 'src/c.ts', text: source, imports: [] }], {
    documents,
    paths: new Set(PATHS),
  })
}

test('a link leads to a file or a folder, by the folder of its page', () => {
  assert.deepEqual(problemsOf('[b](../b.md), [up](../../README.md), [here](.), [all](../)\n'), [])
  assert.deepEqual(problemsOf('[b]\n(x) [b](b.md)\n'), [
    `${DOCS}/guide/a.md:2: there is no ${DOCS}/guide/b.md`,
  ])
  assert.equal(problemsOf('![picture](../p.svg)\n').length, 1)
  assert.equal(problemsOf('<img alt="" src="../p.svg">\n').length, 1)
  assert.deepEqual(problemsOf('[net](https://example.org/none.md) [mail](mailto:a@example.org)\n'), [])
})

test('a heading that a link names is there', () => {
  assert.deepEqual(problemsOf('[x](../b.md#once-more-run) [y](../b.md#twice-1)\n# Own\n[z](#own)\n'), [])
  assert.match(problemsOf('[x](../b.md#once)\n')[0] ?? '', /b\.md has no heading #once$/)
  assert.equal(problemsOf('[z](#own)\n```\n# Own\n```\n').length, 1)
})

test('what is code is no link', () => {
  assert.deepEqual(problemsOf('`[x](none.md)`\n```\n[y](none.md)\n```\n'), [])
})

test('a page of docs that a document or a source names is there', () => {
  assert.deepEqual(problemsOf(`${DOCS}/b.md, and so ${DOCS}/guide/a.md.\n`, `// See ${DOCS}/guide/.\n`), [])
  assert.deepEqual(problemsOf('', `/** x\n * (${DOCS}/a.md). */\n`), [`src/c.ts:2: there is no ${DOCS}/a.md`])
  assert.equal(problemsOf('', `const page = '../../${DOCS}/a.md'\n`).length, 1)
  assert.equal(problemsOf(`\`${DOCS}/none.md\`\n`).length, 1)
  const others = `${DOCS}/devel/migration/CPR.rst, https://example.org/${DOCS}/none.md`
  assert.deepEqual(problemsOf(others, `// ${others}\n`), [])
})

test('a path in backticks is there, but for one with a word to be put in', () => {
  assert.deepEqual(problemsOf('`src/c.ts`, `src/`, `src/NAME.ts`, `src/*.ts`, `other/none.ts`\n'), [])
  assert.deepEqual(problemsOf('`src/{c,d}.ts`\n'), [`${DOCS}/guide/a.md:1: there is no src/d.ts`])
})
