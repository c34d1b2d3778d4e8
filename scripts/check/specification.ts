/**
 * The check of SPECIFICATION.md: each row has a number of its own, and what it names to show it is there: the
 * test of that title, the scenario of the testbed, the row of a bench's kept result, whose figure the
 * sentence has. Each row of a result that misses its bar is named. Must not: run a test or a bench; judge
 * whether a test shows what the sentence says.
 */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Source } from './sources.ts'
import { testsTitled } from './titles.ts'

/** What the rows refer to. */
export interface Shown {
  readonly sources: readonly Source[]
  /** The results that benches kept, as JSON, by the bench's name. */
  readonly results: ReadonlyMap<string, string>
}

interface Row {
  readonly number: string
  readonly sentence: string
  /** One for each thing that shows it, without the backticks. */
  readonly shownBy: readonly string[]
}

/** A line of a bench's result, as far as the check reads it (`Row` in bench/report.ts). */
interface Figure {
  readonly figure: string
  readonly value: string
  readonly wanted: string
  readonly met: boolean | null
}

const REGISTRY = 'testbed/scenarios/registry.ts'
const HEADS = /^\| (?:No\.|-+) +\|/

export function readResults(project: string): Map<string, string> {
  const paths = globSync('bench/results/*.json', { cwd: project })
  return new Map(paths.map((path) => [basename(path, '.json'), readFileSync(join(project, path), 'utf8')]))
}

/** `page`: the text of SPECIFICATION.md. Returns a line for each fault, with the row's number. */
export function specificationProblems(page: string, shown: Shown): string[] {
  const lines = page.split('\n').filter((line) => /^\||^## /.test(line) && !HEADS.test(line))
  const rows = lines.filter((line) => line.startsWith('|')).map(rowOf)
  return [
    ...numberProblems(lines),
    ...rows.flatMap((row) => rowProblems(row, shown).map((problem) => `${row.number}: ${problem}`)),
    ...untoldMisses(new Set(rows.flatMap(({ shownBy }) => shownBy)), shown.results),
  ]
}

function rowOf(line: string): Row {
  const [, number = '', sentence = '', shownBy = ''] = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
  return { number, sentence, shownBy: [...shownBy.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text) }
}

/** The letter is that of the chapter, as in `## M. What is never lost`. */
function numberProblems(lines: readonly string[]): string[] {
  const seen = new Set<string>()
  let chapter = ''
  let last = 0
  return lines.flatMap((line) => {
    const begins = /^## (?:([A-Z])\. )?/.exec(line)
    if (begins) {
      chapter = begins[1] ?? ''
      last = 0
      return []
    }
    const { number } = rowOf(line)
    const [, letter, digits] = /^([A-Z])([1-9]\d*)$/.exec(number) ?? []
    if (letter === undefined) return [`'${number}' is no number of a promise: ${line}`]
    if (letter !== chapter) return [`${number}: it is in the chapter '${chapter}'`]
    if (seen.has(number)) return [`${number}: two rows have this number`]
    seen.add(number)
    const former = last
    last = Number(digits)
    return last > former ? [] : [`${number}: it comes after ${letter}${former}`]
  })
}

function rowProblems({ sentence, shownBy }: Row, shown: Shown): string[] {
  if (sentence === '') return ['there is no sentence']
  if (shownBy.length === 0) return ['nothing shows it']
  const figures = shownBy.flatMap((text) => figuresOf(text, shown))
  return [
    ...shownBy.flatMap((text) => shownProblem(text, shown) ?? []),
    ...figures.flatMap((figure) => figureProblems(sentence, figure)),
    ...(/\bmissed\b/.test(sentence) && !figures.some(({ met }) => met === false)
      ? ['it says that a bar is missed, and no bench that it names misses one']
      : []),
  ]
}

const TEST = /^(\S+\.test\.ts): (.+)$/
const SCENARIO = /^testbed scenario (\S+)$/
const BENCH = /^bench (\S+): (.+)$/

/**
 * `text`: what stands between backticks. undefined: that test, scenario or row of a bench is there, and is
 * the only one.
 */
export function shownProblem(text: string, { sources, results }: Shown): string | undefined {
  const find = (path: string): string | undefined => sources.find((source) => source.path === path)?.text
  const [, path = '', title = ''] = TEST.exec(text) ?? []
  if (path !== '') {
    const file = find(path)
    if (file === undefined) return `there is no file ${path}`
    const tests = testsTitled(file, title)
    if (tests === 1) return undefined
    return tests === 0 ? `${path} has no test '${title}'` : `${path} has ${tests} tests '${title}'`
  }
  const [, scenario] = SCENARIO.exec(text) ?? []
  if (scenario !== undefined)
    return scenariosIn(find(REGISTRY) ?? '').includes(scenario)
      ? undefined
      : `${REGISTRY} has no scenario ${scenario}`
  const [, bench, figure] = BENCH.exec(text) ?? []
  if (bench === undefined) return `'${text}' is no test, no scenario and no row of a bench`
  if (!results.has(bench)) return `there is no bench/results/${bench}.json`
  const rows = figuresOf(text, { sources, results }).length
  return rows === 1 ? undefined : `bench/results/${bench}.json has ${rows} rows '${figure}'`
}

/** Keys of the table, also those that are a name alone. */
function scenariosIn(registry: string): string[] {
  const [, table = ''] = /\bSCENARIOS\b[^=]*= \{([^}]*)\}/.exec(registry) ?? []
  return [...table.matchAll(/^\s*'?([\w-]+)'?\s*[:,]/gm)].map(([, name = '']) => name)
}

/** A bar that a kept result misses stands in the page: what was found too slow is said there. */
function untoldMisses(named: ReadonlySet<string>, results: Shown['results']): string[] {
  return [...results].flatMap(([bench, result]) =>
    rowsOf(result)
      .filter(({ met, figure }) => met === false && !named.has(`bench ${bench}: ${figure}`))
      .map(({ figure, value, wanted }) => {
        const missed = `'${figure}' is ${value} where ${wanted} is wanted`
        return `bench/results/${bench}.json: ${missed}, and no promise names it`
      }),
  )
}

/** Some results are no table of rows. */
const rowsOf = (result: string): readonly Figure[] =>
  (JSON.parse(result) as { readonly rows?: readonly Figure[] }).rows ?? []

/** The rows of that name in the kept result; none where it is no row of a bench. */
function figuresOf(text: string, { results }: Shown): Figure[] {
  const [, bench = '', wanted] = BENCH.exec(text) ?? []
  return rowsOf(results.get(bench) ?? '{}').filter(({ figure }) => figure === wanted)
}

/** A value may be several figures, of which the sentence has the first: `20.33 s, 15.53 s`. */
function figureProblems(sentence: string, { figure, value, wanted, met }: Figure): string[] {
  const [first = ''] = value.split(/,(?!\d)| {2,}| [+(]/)
  return [
    ...(says(sentence, first) ? [] : [`'${figure}' is ${first}, and the sentence has another figure`]),
    ...(met === false && !/\bmissed\b/.test(sentence)
      ? [`'${figure}' is ${value} where ${wanted} is wanted, and the sentence does not say that it is missed`]
      : []),
  ]
}

/** As a figure of its own: 48 ms is not in 148 ms. */
const says = (sentence: string, figure: string): boolean =>
  new RegExp(`(?<![\\d.,])${RegExp.escape(figure)}(?!\\d)`).test(sentence)
