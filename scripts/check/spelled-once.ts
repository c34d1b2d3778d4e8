/**
 * The check that names of xattrs and named sizes are spelled in one file of the product. Tests spell them
 * out, to notice a change.
 */
import { isTest, type Source } from './sources.ts'

interface Rule {
  readonly what: string
  readonly spelled: RegExp
  /** The one file that may. */
  readonly place: string
}

const RULES: readonly Rule[] = [
  {
    what: 'the name of an xattr',
    spelled: /['"](?:trusted\.)?guestmemfs\.[a-z]+['"]/g,
    place: 'src/values/xattr-names.ts',
  },
  {
    what: 'a size that has a name',
    spelled: /\b2 \* 1024 \* 1024\b|\b1024 \*\* [23]\b|_BYTES = 1024 \* 1024\b/g,
    place: 'src/values/units.ts',
  },
]

export function spelledTwiceProblems(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => path.startsWith('src/') && !isTest(path))
    .flatMap(({ path, text }) =>
      RULES.filter(({ place }) => place !== path).flatMap(({ what, spelled, place }) =>
        [...text.matchAll(spelled)].map(
          ({ 0: found, index }) =>
            `${path}:${text.slice(0, index).split('\n').length}: ${what}, ${found}: take it from ${place}`,
        ),
      ),
    )
}
