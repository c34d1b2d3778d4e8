/**
 * The port of the guest agent in QEMU's line: a virtserialport of this name, on a socket at which QEMU
 * listens. Must not: connect to it.
 */
import { resolve } from 'node:path'
import { argumentById, argumentsOf, driverOf, pairsOf, parseCommandLine } from '../command-line.ts'
import { impliedValue, optionValue } from '../option-string.ts'
import type { VmDefinition } from '../vm-definition.ts'

/** By which qemu-ga finds it (docs/interop/qemu-ga.rst). */
const PORT_NAME = 'org.qemu.guest_agent.0'

/** The words that give a guest one, for the operator. */
export const AGENT_WORDS = `-chardev socket,id=qga0,path=PATH,server=on,wait=off -device virtio-serial-pci -device virtserialport,chardev=qga0,name=${PORT_NAME}`

export interface AgentPort {
  /** Id of the character device. */
  readonly chardev: string
  /** Of the socket, absolute. */
  readonly path: string
}

/** A string: why there is none that guestmemfs can use, one line. */
export function agentPort({ argv, cwd }: Pick<VmDefinition, 'argv' | 'cwd'>): AgentPort | string {
  const line = parseCommandLine(argv)
  const port = argumentsOf(line, 'device').find(
    (device) => driverOf(device) === 'virtserialport' && optionValue(pairsOf(device), 'name') === PORT_NAME,
  )
  if (port === undefined) return `its line has no port of a guest agent: start it with ${AGENT_WORDS}`
  const chardev = optionValue(pairsOf(port), 'chardev') ?? ''
  const argument = argumentById(line, 'chardev', chardev)
  const pairs = argument === undefined ? [] : pairsOf(argument)
  const path = optionValue(pairs, 'path')
  const isServer = ['on', 'yes', 'true', 'y'].includes(optionValue(pairs, 'server') ?? 'off')
  const isAbstract = (optionValue(pairs, 'abstract') ?? 'off') !== 'off'
  if (impliedValue(pairs, 'backend') !== 'socket' || path === undefined || !isServer || isAbstract)
    return `its agent's port is no socket at a path with server=on: start it with ${AGENT_WORDS}`
  return { chardev, path: resolve(cwd, path) }
}
