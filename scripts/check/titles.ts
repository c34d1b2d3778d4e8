/**
 * The titles of a file's tests: what stands first in `test(…)` and `t.test(…)`, as a string or as a template
 * literal. Must not: run a test; follow a title that is a variable.
 */

interface Title {
  /** As it is written; a template with its expressions. */
  readonly text: string
  /** The title as the test has it when it runs: an expression may be any text. */
  readonly whole: RegExp
}

const EXPRESSION = String.raw`\$\{(?:[^{}]|\{[^{}]*\})*\}`
const STRING = String.raw`(?<quote>['"])(?<string>(?:\\.|(?!\k<quote>)[^\\\n])*)\k<quote>`
const TEMPLATE = String.raw`\x60(?<template>(?:\\.|${EXPRESSION}|[^\x60\\])*)\x60`
const CALL = new RegExp(String.raw`(?<![\w$.])(?:t\.)?test\(\s*(?:${STRING}|${TEMPLATE})`, 'g')

/**
 * How many tests of the file `text` have this title; where none has it as a whole, how many titles begin with
 * it.
 */
export function testsTitled(text: string, title: string): number {
  const titles = [...text.matchAll(CALL)].map(({ groups = {} }) => titleOf(groups))
  return (
    titles.filter(({ whole }) => whole.test(title)).length ||
    titles.filter((each) => each.text.startsWith(title)).length
  )
}

function titleOf({ string, template = '' }: Readonly<Record<string, string>>): Title {
  const parts = string === undefined ? template.split(new RegExp(EXPRESSION)) : [string]
  const words = parts.map(withoutEscapes)
  // One that is an expression alone would be any title.
  const isAny = words.every((part) => part === '')
  const whole = isAny ? '(?!)' : `^${words.map((part) => RegExp.escape(part)).join('.*')}$`
  return { text: withoutEscapes(string ?? template), whole: new RegExp(whole) }
}

const withoutEscapes = (text: string): string => text.replace(/\\(.)/g, '$1')
