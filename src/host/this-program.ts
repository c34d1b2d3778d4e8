/** Owns how this very program is started again by others: which Node, which file. */
import { fileURLToPath } from 'node:url'

export interface Program {
  /** Absolute path of the Node that runs now. */
  readonly node: string
  /**
   * Absolute path of the command line's entry: `dist/cli.js` of the package, or `src/cli.ts` of the sources.
   */
  readonly cli: string
}

const extension = import.meta.url.slice(-3)

export const thisProgram = (): Program => ({
  node: process.execPath,
  cli: fileURLToPath(new URL(`../cli${extension}`, import.meta.url)),
})
