/**
 * The manual pages and the completions of shells that a program brings, and where man(1) and the shells look
 * for them: manpath(1), and the notes of bash-completion, zsh and fish for packages. Must not: write a file.
 */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type InstallFile, type InstallPlaces, LOCAL_PLACES } from './install-files.ts'
import { SHARE } from './versions/program-files.ts'

/** `name`: of a file in the program's folder of completions. undefined: for no shell that is known. */
function completionPath(name: string, { share, zshFunctions }: InstallPlaces): string | undefined {
  if (name.endsWith('.bash')) return `${share}/bash-completion/completions/guestmemfs`
  if (name.endsWith('.fish')) return `${share}/fish/vendor_completions.d/${name}`
  return name.startsWith('_') ? `${zshFunctions}/${name}` : undefined
}

/** `root`: the program's folder. None, where it is of a former version. */
export function shareFiles(root: string, places: InstallPlaces = LOCAL_PLACES): InstallFile[] {
  const found = (pattern: string): string[] => globSync(pattern, { cwd: join(root, SHARE) }).sort()
  const file = (from: string, path: string): InstallFile => ({
    path,
    mode: 0o644,
    text: readFileSync(join(root, SHARE, from), 'utf8'),
  })
  return [
    ...found('man/man*/*').map((path) => file(path, `${places.share}/${path}`)),
    ...found('completion/*').flatMap((path) => {
      const target = completionPath(basename(path), places)
      return target === undefined ? [] : [file(path, target)]
    }),
  ]
}
