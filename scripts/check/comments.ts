/**
 * The comment check: prose of comments is filled up to the width of the code, two doc comments never stand in
 * a row, and a function of several statements is a `function`. `refill` is what `npm run fix` writes, so a
 * comment is right when refilling changes nothing.
 * Must not: touch lists, tables, code in comments, or words.
 */
import type { Source } from './sources.ts'

/** As biome.json has it for code. */
export const WIDTH = 110

/** Lines that are not prose: list items, indented or aligned text, tables, directives for tools. */
const FIXED = /^(?:[-*•] |\d+\. | |\||```|@|#|biome-ignore|[^ ].*\S {2,}\S)/
/** Begins a sentence that keeps its place at the beginning of a line. */
const OPENS = /^(?:SAFETY:|Must not:|Errors:|TODO)/

interface Comment {
  readonly indent: string
  /** Without comment marks. */
  readonly lines: readonly string[]
  readonly kind: '/**' | '/*' | '//'
}

/** `text` with the prose of each comment that stands alone filled to `WIDTH` columns. */
export function refill(text: string): string {
  const lines = text.split('\n')
  const out: string[] = []
  for (let at = 0; at < lines.length; ) {
    const found = commentAt(lines, at)
    if (found === undefined) {
      out.push(lines[at] as string)
      at += 1
    } else {
      out.push(...write(found.comment))
      at = found.end
    }
  }
  return out.join('\n')
}

function commentAt(lines: readonly string[], at: number): { comment: Comment; end: number } | undefined {
  const [, indent = '', mark] = /^(\s*)(\/\*\*|\/\*|\/\/)(?=\s|$)/.exec(lines[at] as string) ?? []
  if (mark === undefined) return undefined
  if (mark === '//') {
    let end = at
    const own = `${indent}//`
    while (end < lines.length && new RegExp(`^${own}(?: |$)`).test(lines[end] as string)) end += 1
    const content = lines.slice(at, end).map((line) => line.slice(own.length).replace(/^ /, ''))
    return { comment: { indent, lines: content, kind: '//' }, end }
  }
  let end = at
  while (end < lines.length && !(lines[end] as string).includes('*/')) end += 1
  const last = lines[end]
  // Code behind it: the comment is part of a line of code.
  if (last === undefined || !/\*\/\s*$/.test(last)) return undefined
  const content = lines
    .slice(at, end + 1)
    .map((line, index) =>
      index === 0 ? line.slice(indent.length + mark.length) : line.replace(/^\s*\*(?!\/)/, ''),
    )
    .map((line, index) => (index === end - at ? line.replace(/\s*\*\/\s*$/, '') : line))
    .map((line) => line.replace(/^ /, '').trimEnd())
  if (content[0] === '' && content.length > 1) content.shift()
  if (/^\s*$/.test(content.at(-1) ?? '') && content.length > 1) content.pop()
  return { comment: { indent, lines: content, kind: mark as Comment['kind'] }, end: end + 1 }
}

function write({ indent, lines, kind }: Comment): string[] {
  if (kind === '//')
    return fill(lines, WIDTH - indent.length - 3).map((line) => `${indent}// ${line}`.trimEnd())
  const filled = fill(lines, WIDTH - indent.length - 3)
  const [only] = filled
  const single = `${indent}${kind} ${only} */`
  if (filled.length === 1 && single.length <= WIDTH) return [single]
  return [`${indent}${kind}`, ...filled.map((line) => `${indent} * ${line}`.trimEnd()), `${indent} */`]
}

/** Paragraphs are filled one by one; a fixed line, an empty one and one of `OPENS` begin a paragraph. */
function fill(lines: readonly string[], width: number): string[] {
  const out: string[] = []
  let prose: string[] = []
  const end = (): void => {
    out.push(...wrap(prose.join(' '), width))
    prose = []
  }
  // Lines below a list's item belong to the item.
  let isItem = false
  for (const line of lines) {
    if (line === '') isItem = false
    const isFixed = line === '' || FIXED.test(line) || isItem
    if (isFixed) {
      end()
      out.push(line)
      isItem = line !== '' && /^\s*(?:[-*•] |\d+\. )/.test(line) ? true : isItem && line !== ''
    } else {
      if (OPENS.test(line)) end()
      prose.push(line.trim())
    }
  }
  end()
  return out
}

/** Code in backticks stays on one line where it can. */
function wrap(text: string, width: number): string[] {
  if (text === '') return []
  const lines: string[] = []
  let line = ''
  for (const word of text.match(/[^\s`]*`[^`]{1,60}`[^\s`]*|\S+/g) ?? []) {
    if (line === '') line = word
    else if (line.length + 1 + word.length <= width) line += ` ${word}`
    else {
      lines.push(line)
      line = word
    }
  }
  lines.push(line)
  return lines
}

export function commentProblems(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, text }) => [
    ...(refill(text) === text ? [] : [`${path}: comments are not filled to ${WIDTH} columns: npm run fix`]),
    ...tooLong(path, text),
    ...twice(path, text),
    ...arrows(path, text),
  ])
}

const COMMENT_LINE = /^\s*(?:\/\*|\*|\/\/)|\s\/\/ /
/** A comment behind code, or a fixed line of one; an address cannot be cut. */
function tooLong(path: string, text: string): string[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      line.length > WIDTH && COMMENT_LINE.test(line) && !/['"`].*\/\/|https?:\/\/\S{60}/.test(line)
        ? [`${path}:${index + 1}: a comment of ${line.length} columns, ${WIDTH} at most`]
        : [],
    )
}

/**
 * The first of two doc comments in a row has no declaration; the opening of a file, before an empty line, is
 * none of them.
 */
function twice(path: string, text: string): string[] {
  return [...text.matchAll(/\*\/\n[ \t]*\/\*\*/g)].map(
    ({ index }) => `${path}:${text.slice(0, index).split('\n').length}: two doc comments in a row`,
  )
}

/** `const f = (…) => {` at the top of a file. */
function arrows(path: string, text: string): string[] {
  return topLevelArrows(text).map(({ name }) => `${path}: ${name} has statements: write it as a function`)
}

export interface Arrow {
  readonly name: string
  /** Where its head begins and ends in the text, the `{` included. */
  readonly start: number
  readonly end: number
  /** The same head as a `function`. */
  readonly head: string
}

const HEAD =
  /^(export )?const (\w+) = (async )?((?:<[^\n]*>)?\((?:[^\n]*|\n(?:[ \t][^\n]*\n)+\)[^\n]*)) => \{$/gm

/** Functions of several statements that are written as arrows. Exported for `npm run fix`. */
export function topLevelArrows(text: string): Arrow[] {
  return [...text.matchAll(HEAD)].flatMap(
    ({ 0: all, 1: exported = '', 2: name = '', 3: isAsync = '', 4: rest = '', index }) =>
      isSignature(rest)
        ? [
            {
              name,
              start: index,
              end: index + all.length,
              head: `${exported}${isAsync}function ${name}${rest} {`,
            },
          ]
        : [],
  )
}

/** Parameters in one pair of parentheses, and nothing behind them but a type. */
function isSignature(text: string): boolean {
  let depth = 0
  const from = text.indexOf('(')
  for (let at = from; at < text.length; at++) {
    if (text[at] === '(') depth += 1
    if (text[at] === ')') depth -= 1
    if (depth === 0) return at === text.length - 1 || text[at + 1] === ':'
  }
  return false
}

/** `text` with each of `topLevelArrows` as a function. */
export function asFunctions(text: string): string {
  return topLevelArrows(text).reduceRight(
    (before, { start, end, head }) => before.slice(0, start) + head + before.slice(end),
    text,
  )
}
