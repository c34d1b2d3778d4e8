/**
 * The wait for a QEMU that a supervisor is just starting, until it answers on its QMP socket or cannot any
 * more.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, isSameProcess } from '../run/process-identity.ts'
import { readRuntime, type VmRuntime, vmPaths } from '../run/vm-runtime.ts'
import { QemuError } from '../values/errors.ts'
import { QmpClient } from './qmp-client.ts'

const POLL_MS = 10

export interface QmpWait {
  /** The VM's. */
  readonly name: string
  /**
   * The VM's runtime record before the supervisor was told to start QEMU; undefined: a QEMU that runs already
   * counts.
   */
  readonly before: VmRuntime | undefined
  /** Resolves if its supervisor has ended, which then starts no QEMU any more. */
  readonly supervisorExited?: Promise<void>
  /** Called when QEMU's process runs; it does not answer yet. */
  readonly onStarted?: () => void
  readonly timeoutMs: number
}

/**
 * A connection to a QEMU that answers. The supervisor's socket takes connections before QEMU answers, so an
 * end of QEMU shows in the runtime record alone. Errors (QemuError): it ended, was not started, or did not
 * answer within `timeoutMs`.
 */
export async function waitForQmp(wait: QmpWait): Promise<QmpClient> {
  const { name, before, supervisorExited, onStarted, timeoutMs } = wait
  const deadline = performance.now() + timeoutMs
  const over = new AbortController()
  supervisorExited?.then(() => over.abort())
  while (!isStarted(name, before)) {
    if (over.signal.aborted) throw new QemuError(`QEMU was not started (see ${vmPaths(name).log})`)
    if (performance.now() > deadline) throw new QemuError(`no QEMU was started within ${timeoutMs} ms`)
    await sleep(POLL_MS)
  }
  onStarted?.()
  const greeting = QmpClient.connect(vmPaths(name).qmp, Math.max(1, deadline - performance.now()))
  const watch = watchForEnd(name, over.signal)
  try {
    return await Promise.race([greeting, watch])
  } catch (error) {
    greeting.then((late) => late.close()).catch(() => {})
    throw error
  } finally {
    over.abort()
  }
}

/** A start after `before`: by another supervisor, or the next one by the same. */
function isStarted(name: string, before: VmRuntime | undefined): boolean {
  const now = readRuntime(name)
  if (now === undefined || !isAlive(now.supervisor)) return false
  return (
    before === undefined || !isSameProcess(now.supervisor, before.supervisor) || now.starts > before.starts
  )
}

async function watchForEnd(name: string, stop: AbortSignal): Promise<never> {
  for (;;) {
    const runtime = readRuntime(name)
    // A QEMU that ended before its supervisor could identify it has no end on record yet.
    if (runtime === undefined || (runtime.qemu === null && runtime.end !== null)) {
      throw new QemuError(`QEMU ${runtime?.end ?? 'ended'} before it answered`)
    }
    if (stop.aborted) return await new Promise<never>(() => {})
    await sleep(POLL_MS)
  }
}
