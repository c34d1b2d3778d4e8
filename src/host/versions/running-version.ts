/** Which version of the program a process of a pool runs, by what the kernel shows of that process. */
import { readFileSync } from 'node:fs'
import { CURRENT, LIBRARY, linkedName, PACKAGE_LIBRARY } from './version-folder.ts'
import { executableOf } from './version-users.ts'

const LIBRARIES = [LIBRARY, PACKAGE_LIBRARY]
/** What a server is started from: a file below `src/` or `dist/` of its package. */
const SCRIPT = /^(\/.*)\/(?:src|dist)\/.*\.[tj]s$/

/**
 * An installed version by its folder's name (`0.1.0-…`), another one by its package.json, as that is now.
 * undefined: it cannot be seen, or the process has ended.
 */
export function runningVersion(pid: number): string | undefined {
  const installed = installedVersionOf(pid)
  if (installed !== undefined) return installed
  const [, root] = wordsOf(pid).flatMap((word) => SCRIPT.exec(word) ?? [])
  return root === undefined ? undefined : versionIn(`${root}/package.json`)
}

/** undefined: it does not run an installed version, or that cannot be seen. */
export function installedVersionOf(pid: number): string | undefined {
  const executable = executableOf(pid)
  const library = LIBRARIES.find((folder) => executable.startsWith(`${folder}/`))
  return library && executable.slice(library.length + 1).split('/')[0]
}

/** The installed version that commands and units run. undefined: none is installed. */
export const currentVersion = (): string | undefined =>
  LIBRARIES.map((library) => linkedName(library, CURRENT)).find((name) => name !== undefined)

function wordsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // It has ended.
  }
}

function versionIn(path: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { version?: string }).version
  } catch {
    return undefined
  }
}
