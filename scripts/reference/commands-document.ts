/** `docs/reference/commands.md`: every command, under the headings of the help. */
import { aboutOf, sentence } from './command-page.ts'
import type { DescribedCommand, DescribedProgram, DescribedTerm } from './described.ts'
import { MADE_BY } from './markdown.ts'

export function commandsDocument(program: DescribedProgram): string {
  const { name, commands, options } = program
  const groups = [...new Set(commands.map(({ group }) => group))]
  const within = (group: string) => commands.filter((command) => command.group === group)
  const lines = [
    '# Commands',
    '',
    `${MADE_BY} from \`src/commands/\`: change that, not this page. \`guestmemfs help\` shows the`,
    'same, and `share/man` has it as manual pages.',
    '',
    ...groups.flatMap((group) => [
      `- ${group}: ${within(group)
        .map((command) => `[${command.name}](#${anchor(program, command)})`)
        .join(', ')}`,
    ]),
    '',
    ...options.map(({ term, about }) => `- \`${name} ${term}\`: ${about}`),
    ...groups.flatMap((group) => [
      '',
      `## ${group}`,
      ...within(group).flatMap((command) => ['', ...commandSection(program, command)]),
    ]),
  ]
  return `${lines.join('\n')}\n`
}

/** Of a heading, as GitHub makes it. */
const anchor = ({ name }: DescribedProgram, command: DescribedCommand): string => `${name}-${command.name}`

function commandSection(program: DescribedProgram, command: DescribedCommand): string[] {
  const { name } = program
  const { aliases, summary, description, usage, options, exitStatus, examples } = command
  return [
    `### ${name} ${command.name}`,
    '',
    `${sentence(summary)}.`,
    ...description.flatMap((text) => ['', escaped(text)]),
    '',
    '```',
    `${name} ${command.name} ${usage}`,
    '```',
    ...list(
      'Also',
      aliases.map((alias) => `\`${name} ${alias}\``),
    ),
    ...list('Arguments', command.arguments.map(termLine)),
    ...list('Options', options.map(termLine)),
    ...list(
      'Exit status',
      exitStatus.map(([status, about]) => `\`${status}\`: ${escaped(about)}`),
    ),
    ...examples.flatMap(({ about, typed }) => ['', `${sentence(about)}:`, '', '```', typed, '```']),
    ...(command.seeAlso.length === 0
      ? []
      : ['', `See also ${command.seeAlso.map((page) => linked(program, page)).join(', ')}.`]),
  ]
}

const list = (title: string, items: readonly string[]): string[] =>
  items.length === 0 ? [] : ['', `${title}:`, '', ...items.map((each) => `- ${each}`)]

function termLine(described: DescribedTerm): string {
  const about = aboutOf(described)
  return `\`${described.term}\`${about === '' ? '' : `: ${escaped(about)}`}`
}

/** What Markdown would take for emphasis, or HTML for a tag. */
const escaped = (text: string): string => text.replace(/[*_<]/g, '\\$&')

/** Manual pages that are no command's, beside this page. */
const PAGES: Readonly<Record<string, string>> = {
  'mount.guestmemfs(8)': 'mount-options.md',
  'guestmemfs.xattr(7)': 'xattrs.md',
}

/** Other pages of docs/, and commands of this page. */
function linked(program: DescribedProgram, page: string): string {
  const [, document] = /^docs\/(.*)$/.exec(page) ?? []
  if (document !== undefined) return `[docs/${document}](../${document})`
  if (Object.hasOwn(PAGES, page)) return `[${page}](${PAGES[page]})`
  const command = program.commands.find((each) => page === `${anchor(program, each)}(8)`)
  return command === undefined ? `\`${page}\`` : `[${command.name}](#${anchor(program, command)})`
}
