/** What another process needs to start this program: which Node, which file, and the rest of its files. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface Program {
  /** Absolute path of the Node that runs now. */
  readonly node: string
  /** Absolute path of the folder of the package, with `package.json` and its packages. */
  readonly root: string
  /** Below `root`: the command line's entry, `dist/cli.js` of the package or `src/cli.ts` of the sources. */
  readonly entry: string
  /** As in `package.json`: not unique to its files. */
  readonly version: string
}

const extension = import.meta.url.slice(-3)
const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

export const thisProgram = (): Program => ({
  node: process.execPath,
  root: ROOT,
  entry: extension === '.ts' ? 'src/cli.ts' : 'dist/cli.js',
  version: (JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as { version: string }).version,
})
