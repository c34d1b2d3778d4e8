/**
 * Devices and processors that the operator plugged or unplugged, as arguments of the next QEMU's command
 * line.
 */
import * as v from 'valibot'
import {
  type Argument,
  append,
  argumentById,
  argumentsOf,
  type CommandLine,
  driverOf,
  idOf,
  type KeyValue,
  pairsOf,
  setKeys,
  withoutArguments,
  withoutKeys,
} from '../command-line.ts'
import { isNic } from '../generated-ids.ts'
import { type Ask, unlessRefused } from '../machine/ask.ts'
import type { Processor } from '../machine/processors.ts'
import { optionValue } from '../option-string.ts'
import { CannotCarry, type Change } from './change.ts'
import { type DeviceFacts, deviceWords, pathOfDevice } from './device-facts.ts'

/** A device's address on a PCI bus, as `addr=` takes it. */
const addressOf = (devfn: number): string => `0x${(devfn >> 3).toString(16)}.${devfn & 7}`

/**
 * The line without the devices that were unplugged. QEMU would give a later device of the line the place of
 * such a one, so each of the others gets an `addr=` with its present address, and each NIC a `mac=`, which a
 * former version's line may lack. Errors: CannotCarry.
 */
export async function withoutDevices(
  ask: Ask,
  line: CommandLine,
  isGone: (id: string, driver: string) => boolean,
): Promise<CommandLine> {
  const gone = argumentsOf(line, 'device').filter((argument) => {
    const id = idOf(argument)
    return id !== undefined && isGone(id, driverOf(argument))
  })
  if (gone.length === 0) return line
  const kept = withoutArguments(line, gone)
  const isUsb = (argument: Argument): boolean => driverOf(argument).startsWith('usb-')
  const hasPort = (argument: Argument): boolean => optionValue(pairsOf(argument), 'port') !== undefined
  if (gone.some(isUsb) && argumentsOf(kept, 'device').some((other) => isUsb(other) && !hasPort(other)))
    throw new CannotCarry('a USB device was unplugged, and others of the line have no port=')
  const places = await Promise.all(
    argumentsOf(kept, 'device').map(async (argument) => {
      const has = (key: string): boolean => optionValue(pairsOf(argument), key) !== undefined
      const isNumbered = isNic(driverOf(argument)) && !has('mac')
      if (has('addr') && !isNumbered) return []
      const id = idOf(argument)
      if (id === undefined)
        throw new CannotCarry('a device of the command line has no id: its address on the bus is not known')
      const path = pathOfDevice(id)
      const devfn = has('addr')
        ? -1
        : await unlessRefused(ask(v.number(), 'qom-get', { path, property: 'addr' }), -1)
      const mac = isNumbered ? await ask(v.string(), 'qom-get', { path, property: 'mac' }) : undefined
      const keys: KeyValue[] = [
        ...(devfn < 0 ? [] : [['addr', addressOf(devfn)] as const]),
        ...(mac === undefined ? [] : [['mac', mac] as const]),
      ]
      return keys.length === 0 ? [] : [{ argument, keys }]
    }),
  )
  return places.flat().reduce((all, { argument, keys }) => setKeys(all, argument, keys), kept)
}

/**
 * QEMU chooses the port of a USB device that is plugged without one, and does not report it. Errors:
 * CannotCarry, for one of `ids`.
 */
export async function refuseWithoutPort(ask: Ask, ids: readonly string[]): Promise<void> {
  const ports = await Promise.all(
    ids.map((id) =>
      unlessRefused(ask(v.unknown(), 'qom-get', { path: pathOfDevice(id), property: 'port' }), undefined),
    ),
  )
  const unknown = ids[ports.indexOf('')]
  if (unknown !== undefined) throw new CannotCarry(`USB device ${unknown} was plugged without port=`)
}

/**
 * The line with places in the boot order that were set while the machine ran. `moved`: devices that were
 * plugged or unplugged, whose place goes with them. Errors: CannotCarry.
 */
export function withBootOrder(
  line: CommandLine,
  { added, removed }: Change,
  moved: ReadonlySet<string>,
): CommandLine {
  const indexes = new Map(added.map((item) => item.split(': ', 2) as [string, string]))
  const ids = new Set([...removed.map((item) => item.split(': ', 1)[0] as string), ...indexes.keys()])
  return [...ids.difference(moved)].reduce((all, id) => {
    const argument = argumentById(all, 'device', id)
    if (argument === undefined)
      throw new CannotCarry(
        `the place of ${id} in the boot order was set, and no -device of the line has this id`,
      )
    const index = indexes.get(id)
    return index === undefined
      ? withoutKeys(all, argument, ['bootindex'])
      : setKeys(all, argument, [['bootindex', index, Number(index)]])
  }, line)
}

/** Each device after the one whose bus it is on. */
export function withDevices(line: CommandLine, devices: readonly DeviceFacts[]): CommandLine {
  const depth = ({ id, bus }: DeviceFacts): number => {
    const above = devices.find((other) => other.id !== id && bus.startsWith(`${pathOfDevice(other.id)}/`))
    return above === undefined ? 0 : 1 + depth(above)
  }
  return devices
    .toSorted((a, b) => depth(a) - depth(b))
    .reduce((all, device) => append(all, 'device', JSON.stringify(deviceWords(device))), line)
}

/** Each processor in the place where it was plugged. */
export const withProcessors = (line: CommandLine, processors: readonly Processor[]): CommandLine =>
  processors.reduce((all, { type: driver, props, 'qom-path': path = '' }) => {
    const id = path.startsWith(pathOfDevice('')) ? { id: path.slice(pathOfDevice('').length) } : {}
    const words = JSON.stringify({ driver, ...id, ...props })
    return argumentsOf(all, 'device').some(({ value }) => value === words)
      ? all
      : append(all, 'device', words)
  }, line)
