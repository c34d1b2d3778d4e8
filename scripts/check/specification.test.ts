/** Tests of the check of SPECIFICATION.md: each fault of a row is found, and a page without one passes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Shown, specificationProblems } from './specification.ts'
import { testsTitled } from './titles.ts'

const TESTS = `
test('a guest goes on', options, async (t) => {
  await t.test("and what it's called", () => {})
  await t.test(
    'a child on a line of its own',
    () => {},
  )
})
test('a guest goes on, on the same streams', () => {})
for (const how of HOWS) test(\`killed \${how}: it\${how ? ', too,' : ''} comes back\`, () => {})
test('it isn\\'t lost', () => {})
test(\`\${how}\`, () => {})
assert.ok(/x/.test('no title of a test'))
latest('nor this')
`
const REGISTRY = `export const SCENARIOS: Readonly<Record<string, Scenario<unknown>>> = {
  boot,
  'kho-many': khoMany,
}
const OTHERS = { never }
`
const RESULT = {
  rows: [
    { figure: 'both', value: '48 ms, 50 ms', wanted: '', met: null },
    { figure: 'ratio', value: '1.096', wanted: '<= 1.2', met: true },
    { figure: 'rate', value: '18,899', wanted: '', met: null },
    { figure: 'share', value: '0.618', wanted: '<= 0.1', met: false },
    { figure: 'twice', value: '1', wanted: '', met: null },
    { figure: 'twice', value: '1', wanted: '', met: null },
  ],
}
const SHOWN: Shown = {
  sources: [
    { path: 'test/vm/a.test.ts', text: TESTS, imports: [] },
    { path: 'testbed/scenarios/registry.ts', text: REGISTRY, imports: [] },
  ],
  results: new Map([['blackout', JSON.stringify(RESULT)]]),
}
/** Names the one row that misses its bar. */
const MISSED = '| M99 | 0.618 of it is ours: missed. | `bench blackout: share` |'

const page = (...rows: string[]): string =>
  ['# Specification', '', '## M. Memory', '', '| No. | promise |', '| --- | --- |', ...rows, ''].join('\n')
const problems = (...rows: string[]): string[] => specificationProblems(page(...rows, MISSED), SHOWN)
/** The problems of one row with this sentence that these show. */
const of = (sentence: string, ...shownBy: string[]): string[] =>
  problems(`| M1 | ${sentence} | ${shownBy.map((each) => `\`${each}\``).join('<br>')} |`)

test('what is there has no problem: tests, scenarios, rows of a bench', () => {
  const sentence = 'It takes 48 ms, 1.096 times as long, at 18,899 a second.'
  const tests = ['a guest goes on', 'a guest goes on, on', "and what it's", "it isn't lost"]
  const figures = ['both', 'ratio', 'rate'].map((figure) => `bench blackout: ${figure}`)
  const scenarios = ['boot', 'kho-many'].map((name) => `testbed scenario ${name}`)
  const shownBy = [...tests.map((title) => `test/vm/a.test.ts: ${title}`), ...scenarios, ...figures]
  assert.deepEqual(of(sentence, ...shownBy), [])
  assert.deepEqual(of('0.618 of it is ours, where 0.1 is wanted: missed.', 'bench blackout: share'), [])
})

test('a title is found as a string, a subtest or a template, as a whole or by its beginning', () => {
  for (const title of [
    'a guest goes on',
    "and what it's called",
    'a child on a line of its own',
    'killed twice: it, too, comes back',
    'killed twice: it comes back',
    'killed $',
    "it isn't",
  ])
    assert.equal(testsTitled(TESTS, title), 1, title)
  for (const title of ['a guest goes', 'a guest']) assert.equal(testsTitled(TESTS, title), 2, title)
  for (const title of ['goes on', 'killed twice', 'no title of a test', 'nor this', 'a guest goes on!'])
    assert.equal(testsTitled(TESTS, title), 0, title)
})

test('a file that is not there, a test that it does not have, and a beginning of two titles', () => {
  assert.deepEqual(of('It is.', 'test/vm/b.test.ts: a guest'), ['M1: there is no file test/vm/b.test.ts'])
  assert.deepEqual(of('It is.', 'test/vm/a.test.ts: nobody'), ["M1: test/vm/a.test.ts has no test 'nobody'"])
  assert.deepEqual(of('It is.', 'test/vm/a.test.ts: a guest'), [
    "M1: test/vm/a.test.ts has 2 tests 'a guest'",
  ])
})

test('a scenario that is in no row of the registry', () => {
  for (const name of ['khoMany', 'never', 'boots'])
    assert.deepEqual(of('It is.', `testbed scenario ${name}`), [
      `M1: testbed/scenarios/registry.ts has no scenario ${name}`,
    ])
})

test('a bench without a kept result, a row that it does not have, and one that it has twice', () => {
  assert.deepEqual(of('1', 'bench scale: ratio'), ['M1: there is no bench/results/scale.json'])
  assert.deepEqual(of('1', 'bench blackout: rat'), ["M1: bench/results/blackout.json has 0 rows 'rat'"])
  assert.deepEqual(of('1', 'bench blackout: twice'), ["M1: bench/results/blackout.json has 2 rows 'twice'"])
})

test('a figure that is another now, a bar that is missed in silence, and one that is not missed', () => {
  for (const sentence of ['It takes 50 ms.', 'It takes 148 ms.'])
    assert.deepEqual(of(sentence, 'bench blackout: both'), [
      "M1: 'both' is 48 ms, and the sentence has another figure",
    ])
  assert.match(of('0.618 of it is ours.', 'bench blackout: share').join(), /0\.618 where <= 0\.1 is wanted/)
  assert.match(of('1.096: missed.', 'bench blackout: ratio').join(), /no bench that it names misses one/)
})

test('a bar that is missed, and that no row of the page names', () => {
  const untold = specificationProblems(page('| M1 | It is. | `testbed scenario boot` |'), SHOWN)
  assert.deepEqual(untold, [
    "bench/results/blackout.json: 'share' is 0.618 where <= 0.1 is wanted, and no promise names it",
  ])
  const list = new Map([...SHOWN.results, ['compatibility', '[{"row": "dax"}]']])
  assert.deepEqual(specificationProblems(page(MISSED), { ...SHOWN, results: list }), [])
})

test('a number that two rows have, that does not ascend, is none, or is of another chapter', () => {
  const row = (number: string) => `| ${number} | It is. | \`testbed scenario boot\` |`
  assert.deepEqual(problems(row('M1'), row('M3'), row('M12')), [])
  assert.deepEqual(problems(row('M1'), row('M1')), ['M1: two rows have this number'])
  assert.deepEqual(problems(row('M3'), row('M2')), ['M2: it comes after M3'])
  assert.deepEqual(problems(row('B1')), ["B1: it is in the chapter 'M'"])
  for (const number of ['M0', 'm1', 'M', '1', ''])
    assert.match(problems(row(number)).join(), /is no number of a promise/, number)
  const next = `${page(row('M1'), MISSED)}## B. Blackout\n${row('B1')}\n${row('B2')}\n## Beyond\n${row('B3')}\n`
  assert.deepEqual(specificationProblems(next, SHOWN), ["B3: it is in the chapter ''"])
  const again = `${page(row('M5'), MISSED)}## B. Blackout\n${row('B1')}\n## M. Once more\n${row('M5')}\n`
  assert.deepEqual(specificationProblems(again, SHOWN), ['M5: two rows have this number'])
})

test('a row without a sentence, one that nothing shows, and words that are none of the three', () => {
  assert.deepEqual(of('', 'testbed scenario boot'), ['M1: there is no sentence'])
  assert.deepEqual(of('It is.'), ['M1: nothing shows it'])
  for (const words of ['boot', 'scenario boot', 'test/vm/a.test.ts', 'test/vm/a.ts: a guest goes on'])
    assert.deepEqual(of('It is.', words), [`M1: '${words}' is no test, no scenario and no row of a bench`])
})
