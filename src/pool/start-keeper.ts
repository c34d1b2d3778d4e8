/** The start of a keeper that outlives this process. It answers whether the mount serves. */
import { createInterface } from 'node:readline'
import type { KeeperOptions, Readiness } from '../keeper/contact.ts'
import { resumeHolder } from '../keeper/takeover/holder-process.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { logPath } from '../run/pool-record.ts'
import { UsageError } from '../values/errors.ts'
import { WaitingKeeper } from './waiting-keeper.ts'

const READY_TIMEOUT_MS = 60_000

/**
 * Resolves when the keeper reports that the mount serves; the keeper outlives this process. `waiting`: one
 * that was started before. Errors: UsageError, with the keeper's reason.
 */
export async function startKeeper(
  options: KeeperOptions,
  waiting = new WaitingKeeper(),
): Promise<Extract<Readiness, { ok: true }>> {
  const { contact } = waiting
  contact.ref()
  contact.on('error', () => {}) // The keeper is gone, which the end of its lines shows as well.
  waiting.sendOptions(options)
  const lines = createInterface({ input: contact })
  let isSilent = false
  const timer = setTimeout(() => {
    isSilent = true
    lines.close()
  }, READY_TIMEOUT_MS)
  let readiness: Readiness | undefined
  try {
    for await (const line of lines) {
      readiness = JSON.parse(line) as Readiness
      break
    }
  } catch (error) {
    errnoOfNodeError(error) // The keeper died with the options unread (ECONNRESET).
  }
  clearTimeout(timer)
  // Also a keeper that has refused, or does not answer: it decides itself whether to hold the pool or to end.
  waiting.keep()
  // A keeper that has died had not ended the previous holder, if that is alive: it must not stay stopped.
  const { previousHolder } = options
  if (readiness === undefined && !isSilent && previousHolder !== null) resumeHolder(previousHolder)
  if (readiness === undefined)
    throw new UsageError(
      `the keeper of pool '${options.pool}' did not get ready: see ${logPath(options.pool)}`,
    )
  if (!readiness.ok) throw new UsageError(readiness.reason)
  return readiness
}
