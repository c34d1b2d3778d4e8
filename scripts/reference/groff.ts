/**
 * Text as lines of a manual page, in the macros of man(7) and the escapes of groff(7) that mandoc(1) has as
 * well. Pure. Must not: know what a page is about.
 */

/** What a formatter would take for markup, or print as another character than the one that is typed. */
const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '`': '\\(ga',
  '^': '\\(ha',
  '~': '\\(ti',
  '"': '\\(dq',
}

/** `text` without an end of line, as it is printed: what is copied from the page is what was written. */
export const escapeText = (text: string): string =>
  text
    .replace(/[\\\-'`^~"]/g, (character) => ESCAPES[character] ?? character)
    .replace(/[^\n\x20-\x7e]/gu, (character) => `\\[u${hex(character)}]`)

const hex = (character: string): string =>
  (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')

/** A line that begins with a dot would be a macro; a quote, the other control character, is escaped. */
const asLine = (escaped: string): string => escaped.replace(/^\./, '\\&.')

export const bold = (text: string): string => `\\fB${escapeText(text)}\\fR`
export const italic = (text: string): string => `\\fI${escapeText(text)}\\fR`

/** What is typed, between backticks or asterisks; another page, as `mount(8)`. */
const MARKED = /`([^`]+)`|\*([^*]+)\*|\b([a-z][\w.-]*)(?=\(\d\))/g

/** Within a line: names of pages, and what stands between backticks or asterisks, are bold. */
export function inline(text: string): string {
  let line = ''
  let from = 0
  for (const { 0: all, index, ...groups } of text.matchAll(MARKED)) {
    line += escapeText(text.slice(from, index)) + bold(groups[1] ?? groups[2] ?? groups[3] ?? '')
    from = index + all.length
  }
  return line + escapeText(text.slice(from))
}

/**
 * A paragraph's lines, wherever `text` has its ends of lines: one for each sentence, so that the formatter
 * sets the space between two.
 */
export const prose = (text: string): string[] =>
  text
    .trim()
    .replace(/\s+/g, ' ')
    .split(/(?<=[.?!]) (?=[A-Z`*/'])/)
    .map((sentence) => asLine(inline(sentence)))

export const heading = (text: string): string => `.SH ${escapeText(text.toUpperCase())}`
export const subheading = (text: string): string => `.SS ${escapeText(text)}`
export const paragraph = (text: string): string[] => ['.PP', ...prose(text)]

/** `head`: escaped, as `term` makes it. */
export const item = (head: string, text: string): string[] => ['.TP', asLine(head), ...prose(text)]

/** Lines that are typed or shown as they are. */
export const literal = (text: string): string[] => [
  ...['.PP', '.RS 4', '.nf'],
  ...text.split('\n').map((line) => asLine(escapeText(line))),
  ...['.fi', '.RE'],
]

/** `-y, --yes`, `--kernel <file>`, `[vm...]`: what is typed is bold, what stands for a value is italic. */
export const term = (text: string): string =>
  text
    .split(/(<[^>]*>|\[[^\]]*\])/)
    .map((part) => {
      if (part.startsWith('<')) return value(part.slice(1, -1))
      if (part.startsWith('[')) return `[${value(part.slice(1, -1))}]`
      return part.replace(/[^\s,]+/g, (word) => bold(word))
    })
    .join('')

function value(name: string): string {
  const [, word = name, dots = ''] = /^(.*?)(\.\.\.)?$/.exec(name) ?? []
  return italic(word) + dots
}

export interface ManualPage {
  readonly name: string
  readonly section: 7 | 8
  /** One line, for whatis(1). */
  readonly summary: string
  /** Of the program, with its name. */
  readonly version: string
  /** What follows NAME. */
  readonly lines: readonly string[]
}

/** The page as a file, without a date: it is the same whenever it is made. */
export function manualPage({ name, section, summary, version, lines }: ManualPage): string {
  const title = [escapeText(name.toUpperCase()), String(section), '""', `"${escapeText(version)}"`]
  return `${[
    String.raw`.\" Made by 'npm run reference': change what it is made from, not this file.`,
    `.TH ${title.join(' ')}`,
    // No hyphen in a word that may be typed.
    '.nh',
    heading('Name'),
    `${escapeText(name)} \\- ${escapeText(summary)}`,
    ...lines,
  ].join('\n')}\n`
}
