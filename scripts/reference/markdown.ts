/**
 * Text of the definitions as Markdown: what is typed, which stands between asterisks or backticks there,
 * becomes code. Pure. Must not: know what a page is about.
 */

/** Begins the line of a page in docs/reference that says how it is made. */
export const MADE_BY = 'Made by `npm run reference`'

/** What is typed, and what Markdown would take for emphasis, or HTML for a tag. */
const MARKED = /`([^`]+)`|\*([^*]+)\*|[_<*]/g

/** One paragraph on one line, wherever `text` has its ends of lines. */
export const markdown = (text: string): string =>
  text
    .trim()
    .replace(/\s+/g, ' ')
    .replace(MARKED, (all, ticked?: string, starred?: string) => {
      const typed = ticked ?? starred
      return typed === undefined ? `\\${all}` : `\`${typed}\``
    })

/** `term`: as it is typed. */
export const listItem = (term: string, about: string): string => `- \`${term}\`: ${markdown(about)}`

/** Lines that are typed or shown as they are. */
export const fenced = (lines: readonly string[]): string[] => ['```', ...lines, '```']
