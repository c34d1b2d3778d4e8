/** The wait for a QEMU that is just being started, until it answers on its QMP socket or cannot any more. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isSameProcess, type ProcessIdentity, whenGone } from '../run/process-identity.ts'
import { readRuntime, type VmRuntime, vmPaths } from '../run/vm-runtime.ts'
import { formatTimeout } from '../values/duration.ts'
import { QemuError } from '../values/errors.ts'
import { within } from '../values/within.ts'
import { QmpClient } from './qmp-client.ts'

const POLL_MS = 10
/** Its end may be on record, or reported to this process, a moment later. */
const RECORD_DELAY_MS = 100
const END_DELAY_MS = 500

export interface QmpWait {
  /** The VM's. */
  readonly name: string
  /** The VM's runtime record before the start; undefined: a QEMU that runs already counts. */
  readonly before: VmRuntime | undefined
  /** Resolves with a description of its end when the process that was to become QEMU has ended. */
  readonly ended?: Promise<string>
  /** Called when QEMU's process runs; it does not answer yet. */
  readonly onStarted?: () => void
  readonly timeoutMs: number
}

/**
 * A connection to a QEMU that answers. Its socket takes connections before QEMU answers, so an end of QEMU
 * shows by its process alone. Errors (QemuError): it ended, was not started, or did not answer within
 * `timeoutMs`.
 */
export async function waitForQmp(wait: QmpWait): Promise<QmpClient> {
  const { name, before, ended, onStarted, timeoutMs } = wait
  const deadline = performance.now() + timeoutMs
  let end: string | undefined
  void ended?.then((words) => {
    end = words
  })
  while (!isStarted(name, before)) {
    if (end !== undefined) throw new QemuError(whyNotStarted(name))
    if (performance.now() > deadline)
      throw new QemuError(`no QEMU was started within ${formatTimeout(timeoutMs)}`)
    await sleep(POLL_MS)
  }
  onStarted?.()
  const over = new AbortController()
  const greeting = QmpClient.connect(vmPaths(name).qmp, Math.max(1, deadline - performance.now()))
  const watch = watchForEnd(readRuntime(name)?.qemu ?? undefined, () => end, over.signal)
  return await greetedBefore(greeting, watch).finally(() => over.abort())
}

/**
 * The connection, unless QEMU ends first. `end`: rejects with that. A greeting that comes after it is closed.
 */
export async function greetedBefore(greeting: Promise<QmpClient>, end: Promise<never>): Promise<QmpClient> {
  try {
    return await Promise.race([greeting, end])
  } catch (error) {
    greeting.then((late) => late.close()).catch(() => {})
    // The kernel closes its socket a moment before `end` rejects.
    await within(end, END_DELAY_MS)
    throw error
  }
}

function whyNotStarted(name: string): string {
  const end = readRuntime(name)?.end
  return end == null ? `QEMU was not started (see ${vmPaths(name).log})` : `QEMU ${end} before it answered`
}

/** By another process than before. */
function isStarted(name: string, before: VmRuntime | undefined): boolean {
  const qemu = readRuntime(name)?.qemu
  if (qemu == null) return false
  if (before === undefined) return true
  return before.qemu === null || !isSameProcess(qemu, before.qemu)
}

/** `qemu`: undefined where the record says by now that it has ended. Rejects with how it ended. */
async function watchForEnd(
  qemu: ProcessIdentity | undefined,
  endOf: () => string | undefined,
  stop: AbortSignal,
): Promise<never> {
  if (qemu !== undefined) await whenGone(qemu, stop)
  if (stop.aborted) return await new Promise<never>(() => {})
  await sleep(RECORD_DELAY_MS)
  throw new QemuError(`QEMU ${endOf() ?? 'ended'} before it answered`)
}
