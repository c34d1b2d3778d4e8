/**
 * Runs a former tree: its command line, and single modules of it, in an environment without values of this
 * machine's user.
 */
import { execFile, spawn } from 'node:child_process'
import { closeSync, globSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** A VM's definition has it, so `bytes/` has it, too. */
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', HOME: '/root' } as const
const TIMEOUT_MS = 60_000

export class OlderTree {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /** Returns standard output. Rejects when it fails, with its messages. */
  async guestmemfs(...words: string[]): Promise<string> {
    return await this.#node(join(this.folder, 'src/cli.ts'), ...words)
  }

  /** Does not wait for its end; its output is in `log`. */
  start(log: string, ...words: string[]): number {
    const output = openSync(log, 'a')
    const program = join(this.folder, 'src/cli.ts')
    const child = spawn(process.execPath, [program, ...words], {
      env: ENVIRONMENT,
      cwd: '/',
      detached: true,
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    child.unref()
    return child.pid as number
  }

  /**
   * Returns the standard output of `script`, a module in which `load(NAME)` imports the tree's only NAME.ts.
   */
  async script(script: string): Promise<string> {
    const paths = globSync('src/**/*.ts', { cwd: this.folder }).map((path) => join(this.folder, path))
    const load = `const load = (name) => {
      const found = ${JSON.stringify(paths)}.filter((path) => path.endsWith('/' + name + '.ts'))
      if (found.length !== 1) throw new Error('not one ' + name + ': ' + found)
      return import(found[0])
    }`
    return await this.#node('--input-type=module', '--eval', `${load}\n${script}`)
  }

  async #node(...words: string[]): Promise<string> {
    const { stdout } = await run(process.execPath, words, {
      env: ENVIRONMENT,
      cwd: '/',
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
      maxBuffer: 64 * 2 ** 20,
    })
    return stdout
  }
}
