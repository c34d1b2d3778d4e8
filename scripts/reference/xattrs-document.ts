/** `docs/reference/xattrs.md`: the extended attributes of a mount, as guestmemfs.xattr(7) has them. */
import { sentence } from './command-page.ts'
import { fenced, listItem, MADE_BY, markdown } from './markdown.ts'
import { CONTROLS, OF_A_FILE, OF_THE_POOL, type XattrText } from './xattr-table.ts'
import {
  OTHER_XATTRS_TEXT,
  UNITS_TEXT,
  XATTR_ERRORS,
  XATTR_EXAMPLES,
  XATTR_PARAGRAPHS,
} from './xattr-texts.ts'

const SECTIONS: readonly (readonly [title: string, texts: readonly XattrText[]])[] = [
  ['The pool', OF_THE_POOL],
  ['A file', OF_A_FILE],
  ['Control and records', CONTROLS],
]

export const xattrsDocument = (): string =>
  `${[
    '# Extended attributes',
    '',
    `${MADE_BY} from \`scripts/reference/xattr-table.ts\`: change that, not`,
    'this page. The manual page `guestmemfs.xattr(7)` has the same.',
    ...[...XATTR_PARAGRAPHS, UNITS_TEXT].flatMap((text) => ['', markdown(text)]),
    '',
    ...fenced(XATTR_EXAMPLES),
    '',
    ...SECTIONS.map(([title, texts]) => `- ${title}: ${texts.map(linked).join(', ')}`),
    ...SECTIONS.flatMap(([title, texts]) => ['', `## ${title}`, ...texts.flatMap(entry)]),
    '',
    '## Other attributes',
    '',
    markdown(OTHER_XATTRS_TEXT),
    '',
    '## Errors',
    '',
    ...XATTR_ERRORS.map((each) => listItem(...each)),
  ].join('\n')}\n`

/** To its heading, whose anchor has no dots. */
const linked = ({ name }: XattrText): string => `[${name}](#${name.replaceAll('.', '')})`

function entry({ name, on, read, set, value, errors = [] }: XattrText): string[] {
  const who = set === undefined ? 'Set by no process.' : `Set by ${set}.`
  return [
    ...['', `### ${name}`],
    ...['', markdown(`On ${on}. Read by ${read}. ${who}`)],
    ...['', markdown(value)],
    ...(errors.length === 0 ? [] : ['', ...errors.map((error) => `- ${markdown(sentence(error))}`)]),
  ]
}
