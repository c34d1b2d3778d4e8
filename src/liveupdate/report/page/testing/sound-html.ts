/**
 * A strict reader of the pages that this program writes: it accepts what they may have and throws at anything
 * else, as an end tag that is missing, a character that is not escaped, an attribute that is there twice.
 */
import assert from 'node:assert/strict'

export interface PageElement {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: (PageElement | string)[]
}

const VOID = new Set(['meta', 'br', 'col'])
const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
}
/** What each of these may be directly in; other elements may be in any. */
const PARENTS: Readonly<Record<string, readonly string[]>> = {
  ...{ html: ['#page'], head: ['html'], body: ['html'], title: ['head'], style: ['head'], main: ['body'] },
  ...{ caption: ['table'], colgroup: ['table'], col: ['colgroup'], thead: ['table'], tbody: ['table'] },
  ...{ tr: ['thead', 'tbody'], th: ['tr'], td: ['tr'], li: ['ul'], dt: ['div'], dd: ['div'] },
}
/** These end an open `p`, so a reader of HTML would see another tree. */
const ENDS_P = new Set(['p', 'div', 'table', 'ul', 'dl', 'section', 'h1', 'h2', 'h3'])
const TAG = /<(\/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*)>/y
const TEXT = /[^<]+/y

/** The element `html`. Throws AssertionError. */
export function readPage(page: string): PageElement {
  assert.ok(page.isWellFormed())
  assert.doesNotMatch(page, /[\p{Cc}--[\n\t]]/v)
  const head = '<!DOCTYPE html>'
  assert.equal(page.slice(0, head.length), head)
  const root: PageElement = { name: '#page', attributes: new Map(), children: [] }
  const open = [root]
  const top = (): PageElement => open.at(-1) ?? assert.fail('nothing is open')
  for (let at = head.length; at < page.length; ) {
    const near = page.slice(at, at + 60)
    const [text] = match(TEXT, page, at) ?? []
    if (text !== undefined) {
      if (top() !== root) top().children.push(unescaped(text))
      else assert.equal(text.trim(), '')
      at += text.length
      continue
    }
    const [tag, slash, name = '', attributes = ''] = match(TAG, page, at) ?? assert.fail(`no tag: ${near}`)
    at += tag.length
    if (slash === '/') {
      assert.equal(name, open.pop()?.name, `ends another element: ${near}`)
      continue
    }
    const allowed = PARENTS[name]
    assert.ok(allowed === undefined || allowed.includes(top().name), `${name} in ${top().name}: ${near}`)
    assert.ok(!(ENDS_P.has(name) && open.some((element) => element.name === 'p')), `${name} in p: ${near}`)
    const element = { name, attributes: attributesOf(attributes), children: [] }
    top().children.push(element)
    if (!VOID.has(name)) open.push(element)
    if (name === 'style') {
      const end = page.indexOf('</style>', at)
      at = end
    }
  }
  assert.deepEqual(open, [root], 'an element has no end')
  const [html] = root.children
  assert.ok(root.children.length === 1 && typeof html === 'object' && html.name === 'html')
  return html
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at
  return pattern.exec(text) ?? undefined
}

function attributesOf(text: string): Map<string, string> {
  const attributes = new Map<string, string>()
  for (const [, name = '', value = ''] of text.matchAll(/ ([a-z-]+)="([^"]*)"/g)) {
    assert.ok(!attributes.has(name), `${name} is there twice: ${text}`)
    attributes.set(name, unescaped(value))
  }
  return attributes
}

const unescaped = (text: string): string =>
  text.replace(/&(?:#?\w*;?)/g, (entity) => ENTITIES[entity] ?? assert.fail(`no entity: ${entity}`))

/** All elements of a name below `element`, in order. */
export function elementsIn(element: PageElement, name: string): PageElement[] {
  return element.children.flatMap((child) =>
    typeof child === 'string' ? [] : [...(child.name === name ? [child] : []), ...elementsIn(child, name)],
  )
}

/** Its text, without markup, on one line. */
export function textIn(element: PageElement): string {
  const inner = element.children.map((child) => (typeof child === 'string' ? child : textIn(child)))
  return inner.join(' ').replace(/\s+/g, ' ').trim()
}
