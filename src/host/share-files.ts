/**
 * The manual pages and the completions of shells that a program brings, and where man(1) and the shells look
 * for them: manpath(1), and the notes of bash-completion, zsh and fish for packages. Must not: write a file.
 */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type InstallFile, type InstallPlaces, LOCAL_PLACES } from './install-files.ts'
import { SHARE } from './versions/program-files.ts'

/** By the name that the program has for them. */
const completions = ({ share, zshFunctions }: InstallPlaces): Readonly<Record<string, string>> => ({
  'guestmemfs.bash': `${share}/bash-completion/completions/guestmemfs`,
  _guestmemfs: `${zshFunctions}/_guestmemfs`,
  'guestmemfs.fish': `${share}/fish/vendor_completions.d/guestmemfs.fish`,
})

/** `root`: the program's folder. None, where it is of a former version. */
export function shareFiles(root: string, places: InstallPlaces = LOCAL_PLACES): InstallFile[] {
  const shells = completions(places)
  const found = (pattern: string): string[] => globSync(pattern, { cwd: join(root, SHARE) }).sort()
  const file = (from: string, path: string): InstallFile => ({
    path,
    mode: 0o644,
    text: readFileSync(join(root, SHARE, from), 'utf8'),
  })
  return [
    ...found('man/man*/*').map((path) => file(path, `${places.share}/${path}`)),
    ...found('completion/*').flatMap((path) => {
      const target = shells[basename(path)]
      return target === undefined ? [] : [file(path, target)]
    }),
  ]
}
