/**
 * The check of references: each relative link of a Markdown file leads to a file, and to a heading where it
 * names one; each path of docs/ that a Markdown file or a source names is there, and so is each path of the
 * project that stands in backticks in a Markdown file. Must not: follow a link into the network.
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { FOLDERS, type Source } from './sources.ts'

export interface LinkedDocument {
  /** Relative to the project, with forward slashes. */
  readonly path: string
  readonly text: string
}

export interface LinkedTree {
  /** All Markdown files. */
  readonly documents: readonly LinkedDocument[]
  /** Every file and folder, relative to the project. */
  readonly paths: ReadonlySet<string>
}

/** Never part of the project, or not before a build. */
const LEFT_OUT = ['node_modules/**', '.git/**', 'dist/**']

export function readLinkedTree(project: string): LinkedTree {
  const paths = globSync(['**', '.ci/**'], { cwd: project, exclude: LEFT_OUT })
  return {
    documents: paths
      .filter((path) => path.endsWith('.md'))
      .sort()
      .map((path) => ({ path, text: readFileSync(join(project, path), 'utf8') })),
    paths: new Set(paths),
  }
}

export function linkProblems(sources: readonly Source[], tree: LinkedTree): string[] {
  return [
    ...tree.documents.flatMap((document) => [
      ...brokenLinks(document, tree),
      ...missingDocs(document, tree),
      ...missingPaths(document, tree),
    ]),
    ...sources.flatMap((source) => missingDocs(source, tree)),
  ]
}

/** `[text](target)`, `![text](target)`, and `src`, `srcset` or `href` of an HTML tag. */
const LINK = /\]\(<?([^()\s>]+)>?\)|\b(?:src|srcset|href)="([^"]*)"/g

/** Links of one document to what is not among `paths`, and to headings that are not there. */
export function brokenLinks({ path, text }: LinkedDocument, { documents, paths }: LinkedTree): string[] {
  return [...withoutCode(text).matchAll(LINK)].flatMap(({ 1: linked, 2: tagged, index }) => {
    const target = linked ?? tagged ?? ''
    if (/^[a-z][a-z+.-]*:/i.test(target)) return []
    const [file = '', anchor] = target.split('#')
    const to = file === '' ? path : normalize(join(dirname(path), file)).replace(/\/$/, '')
    const where = `${path}:${lineAt(text, index)}`
    if (!paths.has(to)) return [`${where}: there is no ${to}`]
    const document = documents.find((each) => each.path === to)
    return anchor === undefined || document === undefined || anchors(document.text).has(anchor)
      ? []
      : [`${where}: ${to} has no heading #${anchor}`]
  })
}

/**
 * `docs/…`, but not the end of another path or of an address. QEMU's own documents, of that name, are .rst.
 */
const OF_DOCS = /(?<![\w/.-])(?:(?:\.\.?\/)+)?(docs\/[\w./-]*\w)/g

function missingDocs({ path, text }: LinkedDocument, { paths }: LinkedTree): string[] {
  return [...text.matchAll(OF_DOCS)].flatMap(({ 1: named = '', index }) =>
    named.endsWith('.rst') || paths.has(named)
      ? []
      : [`${path}:${lineAt(text, index)}: there is no ${named}`],
  )
}

const IN_BACKTICKS = /`([\w.]+\/[\w./{},-]+)`/g

/** A word in capitals stands for a name that the reader puts there. */
function missingPaths({ path, text }: LinkedDocument, { paths }: LinkedTree): string[] {
  return [...text.matchAll(IN_BACKTICKS)].flatMap(({ 1: named = '', index }) => {
    const [folder = ''] = named.split('/')
    if (!FOLDERS.some((each) => each === folder) || /\b[A-Z]{2,}\b/.test(named)) return []
    return expanded(named)
      .filter((each) => !paths.has(each.replace(/\/$/, '')))
      .map((each) => `${path}:${lineAt(text, index)}: there is no ${each}`)
  })
}

/** `a/{b,c}.ts` as `a/b.ts` and `a/c.ts`. */
function expanded(named: string): string[] {
  const [, before = '', choice, after = ''] = /^(.*?)\{([^{}]*)\}(.*)$/.exec(named) ?? []
  return choice === undefined
    ? [named]
    : choice.split(',').flatMap((word) => expanded(`${before}${word}${after}`))
}

/** Code, in blocks and within lines, as blanks: the places of all else stay. */
const withoutCode = (text: string): string =>
  text.replace(/^```[\s\S]*?^```|`[^`\n]*`/gm, (code) => code.replace(/[^\n]/g, ' '))

/** Of the headings, as GitHub makes them: a second one of a name has -1. */
function anchors(text: string): Set<string> {
  const all = new Set<string>()
  const headings = text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} +(.*?) *$/gm)
  for (const [, heading = ''] of headings) {
    const anchor = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-')
    let unique = anchor
    for (let count = 1; all.has(unique); count++) unique = `${anchor}-${count}`
    all.add(unique)
  }
  return all
}

const lineAt = (text: string, index: number): number => text.slice(0, index).split('\n').length
