/**
 * The check that names of xattrs, named sizes and kinds of store are spelled in one file of the product, that
 * no two of its files have one name, and that no two files of `src/` export a type, a function or a constant
 * of one name. Tests spell values out, to notice a change.
 */
import { basename } from 'node:path'
import { isTest, type Source } from './sources.ts'

interface Rule {
  readonly what: string
  readonly spelled: RegExp
  /** The one file that may. */
  readonly place: string
  /** A room that may as well. */
  readonly room?: string
}

const RULES: readonly Rule[] = [
  {
    what: 'the name of an xattr',
    spelled: /['"](?:trusted\.)?guestmemfs\.[a-z]+['"]/g,
    place: 'src/values/xattr-names.ts',
  },
  {
    what: 'a size that has a name',
    spelled: /\b2 \* 1024 \* 1024\b|\b1024 \*\* [23]\b|\b2 \*\* [23]0\b|_BYTES = 1024 \* 1024\b/g,
    place: 'src/values/units.ts',
  },
  {
    what: 'a comparison with the name of a kind of store',
    spelled: /\b(?:kind|store)\b\)? [!=]== '(?:memfd|dax|devmem)'/g,
    place: 'src/values/store-kinds.ts',
    // It has that name from the mount, and imports no store.
    room: 'src/qemu/',
  },
]

/** The first file of a process. */
const MAIN = 'main.ts'

export function spelledTwiceProblems(sources: readonly Source[]): string[] {
  const product = sources.filter(({ path }) => path.startsWith('src/') && !isTest(path))
  return [
    ...product.flatMap(valuesSpelledTwice),
    ...sameNames(product.map(({ path }) => path)),
    ...sameExports(sources),
  ]
}

const valuesSpelledTwice = ({ path, text }: Source): string[] =>
  RULES.filter(({ place, room }) => place !== path && !(room && path.startsWith(room))).flatMap(
    ({ what, spelled, place }) =>
      [...text.matchAll(spelled)].map(
        ({ 0: found, index }) =>
          `${path}:${text.slice(0, index).split('\n').length}: ${what}, ${found}: take it from ${place}`,
      ),
  )

function sameNames(paths: readonly string[]): string[] {
  const first = new Map<string, string>()
  return paths.flatMap((path) => {
    const name = basename(path)
    const other = first.get(name)
    if (other === undefined) first.set(name, path)
    return other === undefined || name === MAIN ? [] : [`${path}: ${other} has the same name`]
  })
}

const EXPORTED_TYPE = /^export (?:declare )?(?:abstract )?(?:type|interface|class|enum) (\w+)/gm
const EXPORTED_VALUE = /^export (?:async )?(?:function\*?|const|let) (\w+)/gm
/** What each file of `src/commands/` exports. */
const COMMAND = 'command'

/**
 * A name that stands for two ideas must be looked up at each use. What tests share has types with names of
 * their own, too.
 */
function sameExports(sources: readonly Source[]): string[] {
  const files = sources.filter(({ path }) => path.startsWith('src/') && !path.endsWith('.test.ts'))
  const product = files.filter(({ path }) => !isTest(path))
  return [
    ...exportedTwice(files, EXPORTED_TYPE, 'a type '),
    ...exportedTwice(product, EXPORTED_VALUE, '').filter((line) => !line.endsWith(` ${COMMAND}, too`)),
  ]
}

function exportedTwice(files: readonly Source[], exported: RegExp, what: string): string[] {
  const first = new Map<string, string>()
  return files.flatMap(({ path, text }) =>
    [...new Set([...text.matchAll(exported)].map(([, name = '']) => name))].flatMap((name) => {
      const other = first.get(name)
      if (other === undefined) first.set(name, path)
      return other === undefined ? [] : [`${path}: ${other} exports ${what}${name}, too`]
    }),
  )
}
