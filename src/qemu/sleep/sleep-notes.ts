/**
 * What `run` says of a guest that its updates will have to suspend. Must not: ask the agent, which is not
 * there yet.
 */
import { UsageError } from '../../values/errors.ts'
import { hasVfio } from '../vfio-devices.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { agentPort } from './agent-port.ts'
import { wakeProblem } from './wake-firmware.ts'

/**
 * Errors (UsageError): it is to be suspended by an agent that guestmemfs could not reach, or its firmware
 * would not set its machine up again.
 */
export function sleepNotes(
  definition: Pick<VmDefinition, 'argv' | 'cwd' | 'suspends' | 'machineType'>,
): string[] {
  const isPassed = hasVfio(definition.argv)
  if (!isPassed && definition.suspends !== true) return []
  const port = agentPort(definition)
  const problem = wakeProblem(definition) ?? (typeof port === 'string' ? port : undefined)
  if (problem === undefined) return []
  if (definition.suspends === true) throw new UsageError(`--suspend: ${problem}`)
  return [`it has a VFIO device, so an update can save it only while its agent has suspended it; ${problem}`]
}
