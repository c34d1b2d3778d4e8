/** Owns starting a keeper so that it outlives us, and hearing from it whether the mount serves. */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { compiledEnvironment } from '../linux/compiled.ts'
import { UsageError } from '../values/errors.ts'
import type { KeeperOptions } from './keeper-options.ts'
import type { Readiness } from './main.ts'
import { logPath } from './pool-record.ts'

const KEEPER_MAIN = fileURLToPath(new URL(`./main${import.meta.url.slice(-3)}`, import.meta.url))
const READY_TIMEOUT_MS = 60_000

/** Resolves when the keeper says that the mount serves; the keeper lives on by itself. Errors: UsageError, with the keeper's reason. */
export const startKeeper = async (options: KeeperOptions): Promise<Extract<Readiness, { ok: true }>> => {
  // What a keeper says when it cannot even begin to log goes where its log will be.
  const log = openSync(logPath(options.pool), 'a', 0o600)
  const child = spawn(process.execPath, [...process.execArgv, KEEPER_MAIN, JSON.stringify(options)], {
    detached: true,
    stdio: ['ignore', log, log, 'pipe'],
    env: compiledEnvironment(),
  })
  closeSync(log)
  const lines = createInterface({ input: child.stdio[3] as Readable })
  const timer = setTimeout(() => lines.close(), READY_TIMEOUT_MS)
  let readiness: Readiness | undefined
  for await (const line of lines) {
    readiness = JSON.parse(line) as Readiness
    break
  }
  clearTimeout(timer)
  child.unref()
  ;(child.stdio[3] as Readable).destroy()
  if (readiness === undefined)
    throw new UsageError(
      `the keeper of pool '${options.pool}' did not get ready: see ${logPath(options.pool)}`,
    )
  if (!readiness.ok) throw new UsageError(readiness.reason)
  return readiness
}
