/**
 * XML as libvirt formats it: elements, attributes, text, comments and the entities that every XML has. No
 * document types: libvirt writes none, and without them a text cannot grow while it is read. Pure.
 */
import { CorruptBytesError } from '../values/errors.ts'

export interface XmlElement {
  /** With its prefix, as written: `qemu:commandline`. */
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly XmlElement[]
  /** All text directly in it, trimmed. */
  readonly text: string
}

/** Elements in elements. libvirt's own have less than twenty; metadata of other programs may have more. */
const MOST_DEEP = 200

const NAME = '[^\\s<>/=\'"&!?]+'
const OPENING = new RegExp(`<(${NAME})((?:\\s+${NAME}\\s*=\\s*(?:"[^"<]*"|'[^'<]*'))*)\\s*(/?)>`, 'y')
const CLOSING = new RegExp(`</(${NAME})\\s*>`, 'y')
const TEXT = /[^<]+/y
const ATTRIBUTE = new RegExp(`(${NAME})\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, 'g')
/** What is left out, and the end of each. */
const LEFT_OUT = [
  ['<!--', '-->'],
  ['<?', '?>'],
] as const
const CDATA = ['<![CDATA[', ']]>'] as const
const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

/** Under construction. */
interface Open {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: XmlElement[]
  text: string
}

/** The root element of a document. Errors: CorruptBytesError. */
export function parseXml(source: string): XmlElement {
  const reader = new XmlReader(source)
  return reader.read()
}

class XmlReader {
  readonly #source: string
  #at = 0
  readonly #open: Open[] = []
  #root: XmlElement | undefined

  constructor(source: string) {
    this.#source = source
  }

  read(): XmlElement {
    while (this.#at < this.#source.length) this.#step()
    if (this.#root === undefined || this.#open.length > 0) throw this.#broken('it ends too early')
    return this.#root
  }

  #step(): void {
    const inside = this.#open.at(-1)
    for (const [begin, end] of LEFT_OUT) if (this.#between(begin, end) !== undefined) return
    const data = this.#between(...CDATA)
    const text = data ?? decodedOf(this.#take(TEXT)?.[0])
    if (text !== undefined) {
      if (inside !== undefined) inside.text += text
      else if (text.trim() !== '') throw this.#broken('there is text outside of its element')
      return
    }
    const closing = this.#take(CLOSING)
    if (closing !== undefined) {
      if (inside === undefined || inside.name !== closing[1]) throw this.#broken(`${closing[0]} ends nothing`)
      this.#close()
      return
    }
    this.#begin(inside)
  }

  #begin(inside: Open | undefined): void {
    const [, name, attributes, isEmpty] = this.#take(OPENING) ?? []
    if (name === undefined || attributes === undefined) throw this.#broken('there is no XML')
    if (inside === undefined && this.#root !== undefined) throw this.#broken('there is a second element')
    if (this.#open.length === MOST_DEEP) throw this.#broken('its elements are too deep')
    this.#open.push({ name, attributes: attributesOf(attributes), children: [], text: '' })
    if (isEmpty === '/') this.#close()
  }

  /** Ends the innermost element. */
  #close(): void {
    const { text, ...rest } = this.#open.pop() as Open
    const element = { ...rest, text: text.trim() }
    const around = this.#open.at(-1)
    if (around === undefined) this.#root = element
    else around.children.push(element)
  }

  /** undefined: another thing begins here. */
  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#source)
    if (found === null) return undefined
    this.#at += found[0].length
    return found
  }

  /** What is between `begin`, if that is here, and `end`. */
  #between(begin: string, end: string): string | undefined {
    if (!this.#source.startsWith(begin, this.#at)) return undefined
    const from = this.#at + begin.length
    const to = this.#source.indexOf(end, from)
    if (to < 0) throw this.#broken(`${begin} has no end`)
    this.#at = to + end.length
    return this.#source.slice(from, to)
  }

  #broken = (what: string): CorruptBytesError =>
    new CorruptBytesError(`XML that cannot be read at character ${this.#at}: ${what}`)
}

const attributesOf = (text: string): Map<string, string> =>
  new Map(
    [...text.matchAll(ATTRIBUTE)].map(([, name = '', double, single]) => [
      name,
      decodedOf(double ?? single ?? '') ?? '',
    ]),
  )

function decodedOf(text: string | undefined): string | undefined {
  return text?.replace(/&(#x[0-9a-fA-F]+|#\d+|\w+);/g, (whole, entity: string) => {
    if (!entity.startsWith('#')) return ENTITIES[entity] ?? whole
    const code = entity.startsWith('#x') ? Number.parseInt(entity.slice(2), 16) : Number(entity.slice(1))
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}

/** The first child of that name. */
export const childOf = ({ children }: XmlElement, name: string): XmlElement | undefined =>
  children.find((child) => child.name === name)

export const childrenOf = ({ children }: XmlElement, name: string): XmlElement[] =>
  children.filter((child) => child.name === name)

/** The first element at the end of a path of names from `element`. */
export const elementAt = (element: XmlElement, ...names: readonly string[]): XmlElement | undefined =>
  names.reduce<XmlElement | undefined>((found, name) => found && childOf(found, name), element)

/** An attribute of the element at a path: `attributeAt(domain, 'type', 'os', 'type')`. */
export const attributeAt = (
  element: XmlElement,
  attribute: string,
  ...names: readonly string[]
): string | undefined => elementAt(element, ...names)?.attributes.get(attribute)

/** `element` and all below it. */
export function* allElements(element: XmlElement): IterableIterator<XmlElement> {
  yield element
  for (const child of element.children) yield* allElements(child)
}
