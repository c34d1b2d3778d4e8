/**
 * The split of a QEMU command line into options and their arguments, and back. Must not: interpret an option,
 * which the files that change it do.
 */
import {
  impliedValue,
  type OptionString,
  optionValue,
  parseOptionString,
  printOptionString,
  withValue,
} from './option-string.ts'

export interface Argument {
  /** The option without its dashes; undefined for a bare word, which QEMU takes for a disk image. */
  readonly option: string | undefined
  /** What follows the option, or the bare word itself. */
  readonly value: string | undefined
  /** The dashes as typed: QEMU takes one or two. */
  readonly dashes: '-' | '--' | ''
}

export interface CommandLine {
  readonly binary: string
  readonly arguments: readonly Argument[]
}

/**
 * Options of QEMU 8.2 to 11 that stand alone: those without HAS_ARG in `qemu-options.hx`. All others take one
 * argument.
 */
const WITHOUT_ARGUMENT = new Set([
  ...[
    'h',
    'help',
    'version',
    'snapshot',
    'full-screen',
    'nographic',
    'usb',
    'preconfig',
    'S',
    's',
    'daemonize',
  ],
  ...[
    'enable-kvm',
    'enable-fips',
    'no-fd-bootchk',
    'no-acpi',
    'no-hpet',
    'no-reboot',
    'no-shutdown',
    'xen-attach',
  ],
  ...[
    'nodefaults',
    'no-user-config',
    'only-migratable',
    'win2k-hack',
    'mem-prealloc',
    'singlestep',
    'one-insn-per-tb',
  ],
  ...[
    'semihosting',
    'old-param',
    'portrait',
    'enable-sync-profile',
    'perfmap',
    'jitdump',
    'xen-domid-restrict',
  ],
  ...['no-quit', 'alt-grab', 'ctrl-grab', 'no-frame', 'sdl', 'curses', 'msg-help'],
])

/** `argv`: the program and its arguments, at least one word. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const [binary = '', ...words] = argv
  const parsed: Argument[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string
    const dashes = word.startsWith('--') ? '--' : word.startsWith('-') && word !== '-' ? '-' : ''
    const option = word.slice(dashes.length)
    if (dashes === '') parsed.push({ option: undefined, value: word, dashes })
    else if (WITHOUT_ARGUMENT.has(option)) parsed.push({ option, value: undefined, dashes })
    else parsed.push({ option, value: words[++at], dashes })
  }
  return { binary, arguments: parsed }
}

export function printCommandLine({ binary, arguments: items }: CommandLine): string[] {
  return [binary, ...items.flatMap(printArgument)]
}

/** Each with its option, as one text. */
export const printArguments = ({ arguments: items }: CommandLine): string[] =>
  items.map((item) => printArgument(item).join(' '))

function printArgument({ option, value, dashes }: Argument): string[] {
  const words = option === undefined ? [] : [`${dashes}${option}`]
  return value === undefined ? words : [...words, value]
}

/** Every argument of an option, under any of its names. */
export function argumentsOf(line: CommandLine, ...options: readonly string[]): Argument[] {
  return line.arguments.filter(({ option }) => option !== undefined && options.includes(option))
}

export function hasOption(line: CommandLine, ...options: readonly string[]): boolean {
  return argumentsOf(line, ...options).length > 0
}

export function withoutOption(line: CommandLine, ...options: readonly string[]): CommandLine {
  const kept = line.arguments.filter(({ option }) => option === undefined || !options.includes(option))
  return { ...line, arguments: kept }
}

/** Without some of its own arguments (the same objects). */
export function withoutArguments(line: CommandLine, dropped: readonly Argument[]): CommandLine {
  return { ...line, arguments: line.arguments.filter((argument) => !dropped.includes(argument)) }
}

export function append(line: CommandLine, option: string, value?: string): CommandLine {
  return { ...line, arguments: [...line.arguments, { option, value, dashes: '-' }] }
}

/** The same line with the value of one of its arguments (the same object) replaced. */
export function replaceValue(line: CommandLine, argument: Argument, value: string): CommandLine {
  const index = line.arguments.indexOf(argument)
  return { ...line, arguments: line.arguments.with(index, { ...argument, value }) }
}

/** A value as `key=value` spells it, and as JSON has it where that is no text. */
export type KeyValue = readonly [key: string, text: string, json?: unknown]

/** As `replaceValue`, with some keys of the value set, however it is written. */
export function setKeys(line: CommandLine, argument: Argument, changes: readonly KeyValue[]): CommandLine {
  const { value = '' } = argument
  const json = jsonOf(value)
  if (json !== undefined) {
    const set = changes.map(([key, text, typed = text]) => [key, typed])
    return replaceValue(line, argument, JSON.stringify({ ...json, ...Object.fromEntries(set) }))
  }
  const pairs = changes.reduce((all, [key, text]) => withValue(all, key, text), parseOptionString(value))
  return replaceValue(line, argument, printOptionString(pairs))
}

/** As `setKeys`, with some keys taken out. */
export function withoutKeys(line: CommandLine, argument: Argument, keys: readonly string[]): CommandLine {
  const { value = '' } = argument
  const json = jsonOf(value)
  if (json !== undefined) {
    const kept = Object.entries(json).filter(([key]) => !keys.includes(key))
    return replaceValue(line, argument, JSON.stringify(Object.fromEntries(kept)))
  }
  return replaceValue(
    line,
    argument,
    printOptionString(parseOptionString(value).filter(({ key }) => !keys.includes(key))),
  )
}

/** Keys and values of an argument, whether it is written as `key=value` or as JSON. */
export function pairsOf({ value }: Argument): OptionString {
  if (value === undefined) return []
  const json = jsonOf(value)
  if (json === undefined) return parseOptionString(value)
  return Object.entries(json).map(([key, item]) => ({ key, value: item === true ? 'on' : String(item) }))
}

export const idOf = (argument: Argument): string | undefined => optionValue(pairsOf(argument), 'id')

/** The type of a `-device`; empty where it has none. */
export const driverOf = (device: Argument): string => impliedValue(pairsOf(device), 'driver') ?? ''

export const argumentById = (line: CommandLine, option: string, id: string): Argument | undefined =>
  argumentsOf(line, option).find((argument) => idOf(argument) === id)

/**
 * QEMU takes a value that begins with a brace for JSON. Undefined: it begins with none, or is no JSON, which
 * `run` refuses (`vm-command-line.ts`).
 */
export function jsonOf(value: string): Record<string, unknown> | undefined {
  if (!value.startsWith('{')) return undefined
  try {
    return JSON.parse(value) as Record<string, unknown>
  } catch {
    return undefined
  }
}
