/** Runs one program of this machine to its end, within a time limit. An error has its output. */
import { execFile } from 'node:child_process'

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Default: two minutes. The program is killed at the end of it. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** `latin1` for programs that print bytes. Default: `utf8`. */
  readonly encoding?: 'utf8' | 'latin1'
}

export class CommandError extends Error {
  override readonly name = 'CommandError'
}

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/**
 * Standard output of `program`. Throws `CommandError` with its last output when it fails or takes too long.
 */
export function command(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { cwd, timeoutMs = 120_000, signal, encoding = 'utf8' } = options
  const env = { ...process.env, LC_ALL: 'C', ...options.env }
  return new Promise((resolve, reject) => {
    const limits = { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' as const }
    execFile(program, args, { cwd, env, signal, encoding, ...limits }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const why =
        error.code === 'ENOENT' ? 'not found' : lastLines(stderr) || lastLines(stdout) || error.message
      reject(new CommandError(`${program} ${args.slice(0, 6).join(' ')}: ${why}`, { cause: error }))
    })
  })
}

const lastLines = (text: string): string => text.trim().split('\n').slice(-3).join(' / ')
