/**
 * Checks, before a guest is stopped, whether it must be suspended for its save, and whether its agent would
 * do so. Must not: have it suspended.
 */
import * as v from 'valibot'
import { errorText, QemuError } from '../../values/errors.ts'
import { askOf } from '../machine/ask.ts'
import type { Reading } from '../machine/reading.ts'
import { type RunStatus, runStatus } from '../migration.ts'
import type { QemuVersion } from '../qemu-version.ts'
import type { QmpCommands } from '../qmp-commands.ts'
import { vfioOf } from '../vfio-devices.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { AgentClient } from './agent-client.ts'
import { type AgentPort, agentPort } from './agent-port.ts'
import { KEEPS_SUSPENDED, keepsSuspended } from './goes-on.ts'
import { wakeProblem } from './wake-firmware.ts'

/**
 * Other guests wait for their update, and run meanwhile. An agent in an emulated guest takes some seconds.
 */
const ANSWER_TIMEOUT_MS = 10_000
const COMMAND = 'guest-suspend-ram'

const MachineSchema = v.object({ 'wakeup-suspend-support': v.optional(v.boolean(), true) })
const ChardevsSchema = v.array(
  v.object({ label: v.string(), filename: v.string(), 'frontend-open': v.optional(v.boolean(), true) }),
)
const InfoSchema = v.object({
  supported_commands: v.array(v.object({ name: v.string(), enabled: v.boolean() })),
})

export interface SleepCheck {
  /** Its agent suspends it before it is saved. */
  readonly sleeps: boolean
  readonly problems: readonly string[]
  readonly remarks: readonly string[]
}

const AWAKE: SleepCheck = { sleeps: false, problems: [], remarks: [] }

export interface SleepingMachine {
  readonly definition: Pick<VmDefinition, 'argv' | 'cwd' | 'suspends' | 'machineType'>
  /** The process of its QEMU. */
  readonly pid: number
  readonly version: QemuVersion
  readonly now: Pick<Reading, 'items'>
}

/** Errors (QemuError): QEMU does not answer. */
export async function checkSleep(qmp: QmpCommands, machine: SleepingMachine): Promise<SleepCheck> {
  const { definition, version, now } = machine
  const devices = vfioOf(now)
  if (devices.length === 0 && definition.suspends !== true) return AWAKE
  const why = devices.length === 0 ? 'run --suspend' : `VFIO device ${devices.join(', ')}`
  const state = await runStatus(qmp)
  const problem = keepsSuspended(version)
    ? await problemOf(qmp, machine, state)
    : `QEMU ${version} does not, take ${KEEPS_SUSPENDED} or newer`
  if (problem !== undefined)
    return { ...AWAKE, problems: [`it can be saved only while it is suspended (${why}): ${problem}`] }
  if (state.status === 'suspended') return { ...AWAKE, remarks: ['it is suspended, and stays so'] }
  return { ...AWAKE, sleeps: true, remarks: [`its agent suspends it for the update (${why})`] }
}

async function problemOf(
  qmp: QmpCommands,
  { definition, pid }: SleepingMachine,
  { status, running }: RunStatus,
): Promise<string | undefined> {
  if (status === 'suspended') return undefined
  if (!running) return `it is ${status}: continue it ('cont') first`
  const ask = askOf(qmp)
  const { 'wakeup-suspend-support': canWake } = await ask(MachineSchema, 'query-current-machine')
  if (!canWake) return 'nothing could wake its machine, which has no ACPI'
  const ofFirmware = wakeProblem(definition)
  if (ofFirmware !== undefined) return ofFirmware
  const port = agentPort(definition)
  if (typeof port === 'string') return port
  const chardevs = await ask(ChardevsSchema, 'query-chardev')
  return await agentProblem(port, chardevs, pid)
}

/** `chardevs`: before this connects. */
async function agentProblem(
  { chardev, path }: AgentPort,
  chardevs: v.InferOutput<typeof ChardevsSchema>,
  pid: number,
): Promise<string | undefined> {
  const found = chardevs.find(({ label }) => label === chardev)
  if (found === undefined) return `its QEMU has no character device ${chardev}, its agent's by its line`
  if (!found.filename.startsWith('disconnected:'))
    return `another program is connected to its agent's socket ${path}, which serves one at a time`
  if (!found['frontend-open'])
    return 'no agent in the guest has opened its port: install and start qemu-guest-agent there'
  let agent: AgentClient | undefined
  try {
    agent = await AgentClient.connect(path, pid, ANSWER_TIMEOUT_MS)
    const info = v.safeParse(InfoSchema, await agent.execute('guest-info', ANSWER_TIMEOUT_MS))
    const isAllowed =
      info.success && info.output.supported_commands.some(({ name, enabled }) => name === COMMAND && enabled)
    return isAllowed ? undefined : `its agent does not allow ${COMMAND}`
  } catch (error) {
    if (error instanceof QemuError) return errorText(error)
    throw error
  } finally {
    agent?.close()
  }
}
