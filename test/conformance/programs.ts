/** Runs the programs of suites, with a time limit. */
import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { UsageError } from '../../src/values/errors.ts'

const run = promisify(execFile)
const MAX_OUTPUT_BYTES = 16 * 2 ** 20

export interface Ended {
  readonly output: string
  readonly status: number | undefined
  readonly isTimedOut: boolean
}

/** Ends it, and what it has started, after `timeoutMs`. Its standard error goes to its output. */
export async function runBounded(
  program: string,
  words: readonly string[],
  { cwd, timeoutMs }: { readonly cwd: string; readonly timeoutMs: number },
): Promise<Ended> {
  // timeout(1) ends the whole group: a script waits for a child that hangs.
  const limited = ['--signal=KILL', `${timeoutMs / 1000}`, program, ...words]
  try {
    const { stdout, stderr } = await run('timeout', limited, { cwd, maxBuffer: MAX_OUTPUT_BYTES })
    return { output: stdout + stderr, status: 0, isTimedOut: false }
  } catch (error) {
    const {
      code,
      signal,
      stdout = '',
      stderr = '',
    } = error as Partial<Record<'stdout' | 'stderr', string>> & {
      code?: number | string
      signal?: string
    }
    const isTimedOut = signal === 'SIGKILL' || code === 137
    return { output: stdout + stderr, status: typeof code === 'number' ? code : undefined, isTimedOut }
  }
}

/** Looks each program up in the shell's PATH. Errors: UsageError that says what to install. */
export function need(programs: Readonly<Record<string, string>>): void {
  const missing = Object.entries(programs).filter(([program]) => !isThere(program))
  if (missing.length === 0) return
  const names = missing.map(([program]) => program).join(', ')
  const packages = [...new Set(missing.map(([, from]) => from))].join(' ')
  throw new UsageError(`${names} cannot be found: apt-get install ${packages}`)
}

function isThere(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Compiles `words` with the machine's compiler. Errors: UsageError with its first line of output. */
export async function compile(cwd: string, words: readonly string[]): Promise<void> {
  const { status, output } = await runBounded('cc', words, { cwd, timeoutMs: 120_000 })
  if (status !== 0)
    throw new UsageError(
      `the suite cannot be compiled: ${output.split('\n').find((line) => /error/.test(line)) ?? output}`,
    )
}
