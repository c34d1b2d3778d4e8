/**
 * The pinned machine type: `q35` is another machine in the next QEMU, `pc-q35-10.0` is the same one in every
 * QEMU that has it, and a guest's device state fits no other.
 */
import { UsageError } from '../values/errors.ts'
import type { MachineType, QemuBinary } from './binary.ts'
import { append, argumentsOf, type CommandLine, jsonOf, replaceValue } from './command-line.ts'
import { type OptionString, optionValue, parseOptionString, printOptionString } from './option-string.ts'

export interface PinnedMachine {
  readonly line: CommandLine
  /** Versioned, as `pc-q35-10.0`. */
  readonly machineType: string
}

/** Errors (UsageError): the binary has no such machine type, or it is not a versioned one. */
export function pinMachineType(line: CommandLine, binary: QemuBinary): PinnedMachine {
  const options = argumentsOf(line, 'machine', 'M')
  const naming = options.findLast(({ value }) => typeOf(parseOptionString(value ?? '')) !== undefined)
  const asked = naming && typeOf(parseOptionString(naming.value as string))
  if (options.some(({ value }) => jsonOf(value ?? '') !== undefined)) {
    throw new UsageError('-machine as JSON is not understood here: write it as type,key=value')
  }
  const machine = asked === undefined ? defaultMachine(binary) : findMachine(binary, asked)
  if (!/-\d+\.\d+$/.test(machine.name)) {
    throw new UsageError(
      `machine type '${machine.name}' has no version, so another QEMU may build another machine: use q35 or pc, or a versioned type`,
    )
  }
  if (naming === undefined) return { line: append(line, 'machine', machine.name), machineType: machine.name }
  const pinned = parseOptionString(naming.value as string).map((pair) =>
    isType(pair) ? { ...pair, value: machine.name } : pair,
  )
  return { line: replaceValue(line, naming, printOptionString(pinned)), machineType: machine.name }
}

/** Whether a saved guest of `machineType` fits into `binary`. */
export function hasMachineType(binary: QemuBinary, machineType: string): boolean {
  return binary.machines.some(({ name }) => name === machineType)
}

const isType = ({ key }: { key: string }) => key === '' || key === 'type'

function typeOf(pairs: OptionString): string | undefined {
  return pairs[0]?.key === '' ? pairs[0].value : optionValue(pairs, 'type')
}

function defaultMachine({ path, machines }: QemuBinary): MachineType {
  const machine = machines.find((candidate) => candidate['is-default'])
  if (machine === undefined) throw new UsageError(`${path} has no default machine type: say -machine q35`)
  return machine
}

function findMachine({ path, machines }: QemuBinary, asked: string): MachineType {
  const machine = machines.find(({ name, alias }) => name === asked || alias === asked)
  if (machine === undefined) throw new UsageError(`${path} has no machine type '${asked}'`)
  return machine
}
