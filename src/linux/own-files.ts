/**
 * The files that this process was started from, as they were then: a package manager may replace them while
 * it runs, and what it starts from them later would be of another version than itself.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { errnoOfNodeError } from './library.ts'

/** `src/` or `dist/`: whichever this process runs. */
const FOLDER = fileURLToPath(new URL('..', import.meta.url))

export class OwnFiles {
  readonly #folder: string
  readonly #atStart: string

  constructor(folder = FOLDER) {
    this.#folder = folder
    this.#atStart = look(folder)
  }

  /** One was written, added or removed since, or the program that runs them was replaced. */
  get isReplaced(): boolean {
    return look(this.#folder) !== this.#atStart
  }
}

/** The results of stat(2) of all of them, without files that are removed meanwhile. */
function look(folder: string): string {
  try {
    const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
      .map((entry) => join(entry.parentPath, entry.name))
    return [process.execPath, ...paths.sort()].map(lookAt).join('\n')
  } catch (error) {
    return errnoOfNodeError(error).name
  }
}

function lookAt(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false })
  return `${path} ${stat?.ino} ${stat?.size} ${stat?.mtimeMs}`
}
