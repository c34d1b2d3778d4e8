/** Runs make to its end, within a time limit, and counts its steps. An error has its messages. */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { CommandError } from '../command.ts'

/** The first build takes ten minutes on two slow processors; this ends what hangs. */
const TIMEOUT_MS = 90 * 60_000
const LAST_WORDS = 20_000

/** No name of this machine or its user goes into the kernel. */
const ENVIRONMENT = { LC_ALL: 'C', KBUILD_BUILD_USER: 'guestmemfs', KBUILD_BUILD_HOST: 'testbed' }

/**
 * `make ARGS` in `folder`, on all processors. `step` is called for each line of a step. Errors:
 * `CommandError` with the lines of the error. It ends with this process, and its compilers with it.
 */
export function make(folder: string, args: readonly string[], step: () => void = () => {}): Promise<void> {
  const words = ['--pdeathsig', 'TERM', '--', 'make', `-j${availableParallelism()}`, ...args]
  const child = spawn('setpriv', words, {
    cwd: folder,
    env: { ...process.env, ...ENVIRONMENT },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
  })
  let said = ''
  const listen = (text: string): void => {
    said = (said + text).slice(-LAST_WORDS)
    for (const _ of text.matchAll(/^ {2}[A-Z]+ /gm)) step()
  }
  child.stdout.setEncoding('utf8').on('data', listen)
  child.stderr.setEncoding('utf8').on('data', listen)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) return resolve()
      reject(new CommandError(`make ${args.join(' ')} (${signal ?? code}): ${tellingLines(said)}`))
    })
  })
}

/** The lines with errors: they may be anywhere in the output, among lines of other jobs. */
export function tellingLines(text: string): string {
  const lines = text.trim().split('\n')
  const errors = lines.filter((line) => /\berror\b|\*\*\*/i.test(line))
  return (errors.length > 0 ? errors : lines).slice(-5).join(' / ')
}
