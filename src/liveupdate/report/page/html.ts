/**
 * Markup as a type of its own: whatever is put into an `html` template and is no markup is escaped, so no
 * name or reason of a report can become a tag.
 */

/** Characters that mean something in text or in a quoted attribute. */
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text that is markup already. Only `html` makes it. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** undefined: nothing. */
export type MarkupPart = string | number | Markup | undefined | readonly MarkupPart[]

/** The template's own text is markup; attributes in it are in double quotes. */
export const html = (parts: TemplateStringsArray, ...values: readonly MarkupPart[]): Markup =>
  new Markup(parts.map((part, index) => part + markupOf(values[index])).join(''))

function markupOf(value: MarkupPart): string {
  if (value === undefined) return ''
  if (value instanceof Markup) return value.text
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value))
  return value.map(markupOf).join('')
}

/** As it may stand in text or in a quoted attribute. Control characters are spelled as JSON does. */
export const escapeText = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
    .replace(
      /[\p{Cc}--[\n\t]]/gv,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
