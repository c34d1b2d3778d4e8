/** The manual page of one command, made from its definition. */
import type { DescribedCommand, DescribedProgram, DescribedTerm } from './described.ts'
import { bold, heading, inline, item, literal, manualPage, paragraph, prose, term } from './groff.ts'

/** A file of `share/`, by its path below the project. */
export type GeneratedFile = readonly [path: string, text: string]

export const pagePath = (name: string, section: 7 | 8): string => `share/man/man${section}/${name}.${section}`
export const pageName = (program: DescribedProgram, command: DescribedCommand): string =>
  `${program.name}-${command.name}`
export const versionOf = ({ name, version }: DescribedProgram): string => `${name} ${version}`

export function commandPage(program: DescribedProgram, command: DescribedCommand): GeneratedFile {
  const { aliases, summary, description, usage, exitStatus, examples } = command
  const name = pageName(program, command)
  const typed = `${program.name} ${command.name}`
  const lines = [
    heading('Synopsis'),
    `${bold(typed)} ${term(usage)}`,
    heading('Description'),
    ...(description.length > 0 ? description.flatMap(paragraph) : paragraph(`${sentence(summary)}.`)),
    ...aliases.flatMap((alias) => paragraph(`\`${program.name} ${alias}\` is the same.`)),
    ...termsUnder(
      'Arguments',
      command.arguments.filter(({ about }) => about !== ''),
    ),
    ...termsUnder('Options', command.options),
    heading('Exit status'),
    ...exitStatus.flatMap(([status, about]) => item(bold(status), `${sentence(about)}.`)),
    ...(examples.length > 0 ? [heading('Examples')] : []),
    ...examples.flatMap(({ about, typed }) => [...paragraph(`${sentence(about)}:`), ...literal(typed)]),
    heading('See also'),
    ...seeAlso([`${program.name}(8)`, ...command.seeAlso]),
  ]
  const file = manualPage({ name, section: 8, summary, version: versionOf(program), lines })
  return [pagePath(name, 8), file]
}

/** Texts of the definitions begin as parts of a sentence. */
export const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

const termsUnder = (title: string, terms: readonly DescribedTerm[]): string[] =>
  terms.length === 0 ? [] : [heading(title), ...terms.flatMap(termItem)]

export const termItem = (described: DescribedTerm): string[] => item(term(described.term), aboutOf(described))

/** With its default, as the help has it; an argument shows by its brackets whether it is required. */
export function aboutOf({ term, about, default: byDefault, isRequired }: DescribedTerm): string {
  const required = isRequired && term.startsWith('-') ? ' (required)' : ''
  return `${about}${required}${byDefault === undefined ? '' : ` (default: ${byDefault})`}`
}

/** Pages of docs/ are files of the package. */
export function seeAlso(all: readonly string[]): string[] {
  const pages = all.filter((each) => !each.startsWith('docs/'))
  const docs = all.filter((each) => each.startsWith('docs/'))
  return [
    ...pages.map((page, index) => `${inline(page)}${index < pages.length - 1 ? ',' : ''}`),
    ...(docs.length === 0 ? [] : ['.PP', ...prose(`In the package: ${docs.join(', ')}.`)]),
  ]
}
