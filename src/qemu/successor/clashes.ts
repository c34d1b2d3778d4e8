/**
 * What of a QEMU's command line only one process can have: a tap, a port, a socket, a terminal, a device of
 * VFIO, a file that QEMU empties. A QEMU whose line has any of it cannot wait beside the one that has the
 * guest. What clashes with the machine itself, the trial shows (`trial-line.ts`).
 */
import { readlinkSync } from 'node:fs'
import {
  type Argument,
  argumentsOf,
  driverOf,
  hasOption,
  pairsOf,
  parseCommandLine,
  printCommandLine,
  withoutKeys,
} from '../command-line.ts'
import { type OptionString, optionValue } from '../option-string.ts'
import { isVfio } from '../vfio-devices.ts'
import { MONITOR_ID } from '../vm-command-line.ts'

/** Character devices that two processes may have. */
const SHAREABLE = new Set(['null', 'ringbuf', 'memory'])
/** Of `-netdev user`: each starts a program or connects to one. Ports (`hostfwd`) are passed on. */
const EXCLUSIVE_NET = ['guestfwd', 'smb']
/** A forward that `info usernet` prints in full. */
const FORWARD = /^(tcp|udp)?:[\d.]*:\d+-[\d.]*:\d+$/
/** Options that listen, or write a file, whatever their value but `none`. */
const EXCLUSIVE = new Set([
  'vnc',
  'spice',
  'monitor',
  'qmp',
  'qmp-pretty',
  'gdb',
  'pidfile',
  's',
  'D',
  'trace',
])
const CONSOLES = new Set(['serial', 'parallel', 'debugcon'])

/** The line of a successor: it gets the forwarded ports once the guest is stopped. */
export function withoutForwards(argv: readonly string[]): string[] {
  const line = parseCommandLine(argv)
  return printCommandLine(
    argumentsOf(line, 'netdev').reduce((rest, network) => withoutKeys(rest, network, ['hostfwd']), line),
  )
}

/** `pid`: of the QEMU that has the guest. Empty: its successor may wait beside it. */
export function clashesOf(argv: readonly string[], pid: number): string[] {
  const hasTerminal = !readsNothing(pid)
  const line = parseCommandLine(argv)
  const found = line.arguments.flatMap((argument) => clash(argument, hasTerminal) ?? [])
  return hasOption(line, 'display', 'nographic', 'vnc', 'spice')
    ? found
    : [...found, 'a VNC port or a window, which QEMU opens without -display']
}

function clash(argument: Argument, hasTerminal: boolean): string | undefined {
  const { option: name = '', value = '' } = argument
  const pairs = pairsOf(argument)
  const called = `-${name} ${value}`
  if (EXCLUSIVE.has(name)) return value === 'none' ? undefined : called.trim()
  if (CONSOLES.has(name)) return consoleClash(value, hasTerminal) ? called : undefined
  switch (name) {
    case 'nographic':
      return hasTerminal ? '-nographic' : undefined
    case 'display':
      return value === 'none' ? undefined : called
    case 'tpmdev': // left out of the trial as well
      return called
    case 'device':
      return isVfio(driverOf(argument)) ? called : undefined
    case 'chardev':
      return chardevClash(pairs, hasTerminal) ? called : undefined
    case 'netdev':
      return netdevClash(pairs, value) ? called : undefined
    case 'audiodev':
      return (optionValue(pairs, 'driver') ?? pairs[0]?.value) === 'none' ? undefined : called
  }
  return undefined
}

function consoleClash(value: string, hasTerminal: boolean): boolean {
  if (value === 'stdio' || value === 'mon:stdio') return hasTerminal
  return !(value === 'none' || value === 'null' || value.startsWith('chardev:'))
}

function chardevClash(pairs: OptionString, hasTerminal: boolean): boolean {
  if (optionValue(pairs, 'id') === MONITOR_ID) return false // each QEMU gets its own
  if (optionValue(pairs, 'logfile') !== undefined && optionValue(pairs, 'logappend') !== 'on') return true
  const kind = optionValue(pairs, 'backend') ?? pairs[0]?.value ?? ''
  if (kind === 'stdio') return hasTerminal
  if (kind === 'file') return optionValue(pairs, 'append') !== 'on'
  return !SHAREABLE.has(kind)
}

/** `value`: JSON may hold a list of forwards, as text of which its key is seen. */
function netdevClash(pairs: OptionString, value: string): boolean {
  const kind = optionValue(pairs, 'type') ?? pairs[0]?.value
  if (kind === 'hubport') return false
  const forwards = pairs.filter(({ key }) => key === 'hostfwd')
  if (!forwards.every(({ value: rule = '' }) => FORWARD.test(rule))) return true
  return (
    kind !== 'user' ||
    EXCLUSIVE_NET.some((key) => optionValue(pairs, key) !== undefined || value.includes(key))
  )
}

/** Whether its standard input is /dev/null: two processes that read a terminal take each other's input. */
function readsNothing(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/0`) === '/dev/null'
  } catch {
    return false
  }
}
