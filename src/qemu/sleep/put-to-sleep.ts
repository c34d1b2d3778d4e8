/**
 * The suspension of a guest by its agent (ACPI S3) for an update: QEMU saves a guest with VFIO devices only
 * so. The guest runs until its own kernel has stopped its devices, and nothing waits for it meanwhile.
 *
 * Why no guest is left asleep: the record says so before the agent is asked, and whatever undoes or ends the
 * update, also in a later command, wakes it by that record. An agent that was asked cannot be called back, so
 * the record of a guest that did not suspend in time stays, for one that does so late.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { formatTimeout } from '../../values/duration.ts'
import { errorText, QemuError } from '../../values/errors.ts'
import { LATE, within } from '../../values/within.ts'
import { eventTime } from '../event-time.ts'
import { runStatus } from '../migration.ts'
import { operatorsMigration } from '../migration-settings.ts'
import type { QmpClient } from '../qmp-client.ts'
import { GuestStoppedError } from '../save.ts'
import { endUpdate, type VmDefinition, writeDefinition } from '../vm-definition.ts'
import { AgentClient } from './agent-client.ts'
import { agentPort } from './agent-port.ts'
import { type Asleep, wakeGuest } from './goes-on.ts'

/** For an answer of the agent, which does nothing but answer. */
const AGENT_TIMEOUT_MS = 5000
const LOOK_MS = 100
/**
 * After it a guest that was asked to suspend has done so, or never will: Linux gives up after 20 s
 * (`freeze_timeout_msecs`, kernel/power/process.c).
 */
const LATE_MS = 90_000

export interface SleepRequest {
  /** On record, without an update. */
  readonly definition: VmDefinition
  /** Of its QEMU, in which it runs. */
  readonly qmp: QmpClient
  readonly qemu: ProcessIdentity
  readonly timeoutMs: number
}

/**
 * Resolves when the guest is suspended; the record says that it is woken at the end of its update. Errors
 * (QemuError, UsageError): it is not, and runs on. GuestStoppedError: that is not known.
 */
export async function putToSleep({ definition, qmp, qemu, timeoutMs }: SleepRequest): Promise<Asleep> {
  const { name } = definition
  const port = agentPort(definition)
  if (typeof port === 'string') throw new QemuError(port)
  const migration = await operatorsMigration(qmp)
  return await suspendByAgent({
    ...{ name, qmp, path: port.path, pid: qemu.pid, timeoutMs },
    onAsk: (askedAtMs) => {
      const underUpdate = { wasRunning: true, migration, sleep: { askedAtMs } }
      writeDefinition({ ...definition, underUpdate, saved: null })
    },
    onRefused: () => endUpdate(definition),
  })
}

export interface AgentRequest {
  /** The VM's. */
  readonly name: string
  readonly qmp: QmpClient
  /** Of the agent's socket, and the process that listens there. */
  readonly path: string
  readonly pid: number
  readonly timeoutMs: number
  /** Called when an agent is there, before it is asked. Errors: nothing was asked. */
  readonly onAsk: (askedAtMs: number) => void
  /** Called where the guest will not suspend after all. */
  readonly onRefused: () => void
}

/** Errors: as of `putToSleep`, and of `onAsk`. */
export async function suspendByAgent(request: AgentRequest): Promise<Asleep> {
  const { qmp, path, pid, onAsk } = request
  const agent = await AgentClient.connect(path, pid, AGENT_TIMEOUT_MS)
  try {
    const askedAtMs = Date.now()
    onAsk(askedAtMs)
    qmp.dropEvents()
    await untilAsleep(request, agent.refusalOf('guest-suspend-ram'))
    return { askedAtMs, sinceMs: eventTime(qmp.takeEvent('SUSPEND'), askedAtMs) }
  } finally {
    agent.close()
  }
}

/** `refused`: with the agent's words; may never settle. */
async function untilAsleep(
  { name, qmp, timeoutMs, onRefused }: AgentRequest,
  refused: Promise<string>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  try {
    for (;;) {
      const words = await within(refused, LOOK_MS)
      // A guest that suspends does so whatever its agent says.
      if ((await runStatus(qmp)).status === 'suspended') return
      if (words !== LATE) {
        onRefused()
        throw new NotAsleepError(`its agent did not suspend it: ${words}`)
      }
      if (performance.now() > deadline) throw new NotAsleepError(late(name, timeoutMs))
    }
  } catch (error) {
    if (error instanceof NotAsleepError) throw error
    const why = `${errorText(error)}, after its agent was asked to suspend it`
    throw new GuestStoppedError(why, { cause: error })
  }
}

class NotAsleepError extends QemuError {}

const late = (name: string, timeoutMs: number): string =>
  `its agent was asked, and it did not suspend within ${formatTimeout(timeoutMs)}: it runs on; should it suspend later, 'guestmemfs resume --name ${name}' wakes it`

/**
 * For a guest that runs, and whose agent was asked by a command that did not end: its state once it has
 * suspended, or will not do so any more. Errors: QemuError.
 */
export async function statusAfterSleep(qmp: QmpClient, askedAtMs: number): Promise<string> {
  const deadline = performance.now() + Math.min(LATE_MS, askedAtMs + LATE_MS - Date.now())
  for (;;) {
    const { status } = await runStatus(qmp)
    if (status !== 'running' || performance.now() > deadline) return status
    await sleep(LOOK_MS)
  }
}

/**
 * Throws `error`, by which the save of a guest failed that its agent had suspended; the guest runs by then.
 * GuestStoppedError: it could not be woken.
 */
export async function wakeAfter(qmp: QmpClient, definition: VmDefinition, error: unknown): Promise<never> {
  if (error instanceof GuestStoppedError) throw error
  try {
    await qmp.withConnection((live) => wakeGuest(live))
  } catch (cause) {
    throw new GuestStoppedError(`${errorText(error)}; and it could not be woken: ${errorText(cause)}`, {
      cause,
    })
  }
  endUpdate(definition)
  throw error
}
