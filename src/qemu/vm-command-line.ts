/**
 * The change of the operator's QEMU command line into one that can be started again for the same guest: what
 * is refused, pinned and added. `run` records the result, and every start uses it.
 */

import { UsageError } from '../values/errors.ts'
import type { QemuBinary } from './binary.ts'
import {
  append,
  argumentsOf,
  type CommandLine,
  hasOption,
  jsonOf,
  pairsOf,
  parseCommandLine,
  printCommandLine,
  withoutOption,
} from './command-line.ts'
import { refuseConfidential } from './confidential.ts'
import { fixIdentities } from './generated-ids.ts'
import { pinMachineType } from './machine-type.ts'
import {
  alignRamFiles,
  findRamFiles,
  machineMemory,
  type Place,
  type RamFile,
  withoutPrealloc,
} from './memory-backends.ts'
import { impliedValue, optionValue } from './option-string.ts'

export interface VmCommandLine {
  readonly argv: readonly string[]
  readonly ramFiles: readonly RamFile[]
  readonly machineType: string
  /**
   * `-daemonize` was in the line. It is removed: the process that becomes QEMU goes to the background
   * instead.
   */
  readonly daemonize: boolean
  /** What the operator should know about the typed line. */
  readonly notes: readonly string[]
}

/**
 * The descriptor on which QEMU inherits the listening socket of its QMP: the first after its standard
 * streams.
 */
export const MONITOR_FD = 3
export const MONITOR_ID = 'guestmemfs-qmp'

/** Options that cannot be carried out a second time, each with what to do instead. */
const REFUSED: Readonly<Record<string, string>> = {
  incoming: "is added by guestmemfs: 'guestmemfs resume' starts a saved VM",
  loadvm: 'would load the snapshot again at each update: load it in the monitor instead',
  snapshot: 'keeps what the guest writes in a temporary file that an update would lose',
  preconfig: 'waits for commands that an update would not repeat',
  'add-fd': "passes a descriptor that QEMU's successor would not have: name the file or device instead",
  readconfig: 'takes options from a file that an update would not see: put them into the command line',
  set: 'changes what another option says: put the value there',
  runas: "changes the user without a record of it: use 'guestmemfs run --user'",
  chroot: 'hides the mount from QEMU',
}
/** Keys of `-run-with`. */
const REFUSED_RUN_WITH: Readonly<Record<string, string | undefined>> = {
  user: REFUSED.runas,
  chroot: REFUSED.chroot,
  'exit-with-parent': 'ends the guest with the process that started it: an update starts it by another one',
}
/** Keys whose value is a descriptor that QEMU inherits, and the options that have them. */
const DESCRIPTOR_KEYS = ['fd', 'fds', 'vhostfd', 'vhostfds']
/** Options whose value QEMU takes for JSON where it begins with a brace. */
const JSON_OPTIONS = ['object', 'device', 'blockdev', 'netdev', 'audiodev', 'display']
const DESCRIPTOR_OPTIONS = ['netdev', 'nic', 'net', 'chardev', 'device', 'object']

/** Errors (UsageError): an argument whose effect an update would lose, or that would make another machine. */
export function prepareCommandLine(line: CommandLine, place: Place, binary: QemuBinary): VmCommandLine {
  refuseUnread(line)
  refuseConfidential(line)
  refuseUnrepeatable(line)
  const ramFiles = findRamFiles(line, place)
  const notes: string[] = []
  let prepared = fixIdentities(alignRamFiles(withoutOption(line, 'daemonize'), place))
  if (hasOption(prepared, 'migrate-mode-enable')) {
    prepared = withoutOption(prepared, 'migrate-mode-enable')
    notes.push('-migrate-mode-enable is left out: QEMU never had it, the mode is set over QMP')
  }
  for (const path of emptiedFiles(prepared)) {
    notes.push(`${path} will be emptied by the next QEMU: use -chardev file,append=on to keep it`)
  }
  for (const id of peers(prepared))
    notes.push(`ivshmem-plain '${id}' needs master=on, or no update can save the guest`)
  const memory = machineMemory(prepared, ramFiles)
  if (memory !== undefined) {
    prepared = append(prepared, 'machine', `memory-backend=${memory.id}`)
    notes.push(`memory-backend=${memory.id} is added to -machine, or QEMU would not use it`)
  }
  const pinned = pinMachineType(prepared, binary)
  prepared = append(pinned.line, 'chardev', `socket,id=${MONITOR_ID},fd=${MONITOR_FD},server=on,wait=off`)
  prepared = append(prepared, 'mon', `chardev=${MONITOR_ID},mode=control`)
  return {
    argv: printCommandLine({ ...prepared, binary: binary.path }),
    ramFiles,
    machineType: pinned.machineType,
    daemonize: hasOption(line, 'daemonize'),
    notes,
  }
}

/**
 * The line for a QEMU that loads a saved guest: QEMU waits for the load, and does not let the guest run until
 * `cont`. Without preallocation: the guest's memory is there already, and the guest is stopped meanwhile.
 */
export function incomingArgv(argv: readonly string[]): string[] {
  const line = withoutPrealloc(withoutOption(parseCommandLine(argv), 'mem-prealloc'))
  return [...printCommandLine(line), '-S', '-incoming', 'defer']
}

/** The same words for another program; undefined: for the same. */
export const withBinary = (argv: readonly string[], binary: string | undefined): string[] =>
  binary === undefined ? [...argv] : [binary, ...argv.slice(1)]

/**
 * Ids of ivshmems for which QEMU blocks each migration (hw/misc/ivshmem.c). Errors (UsageError): one has no
 * id, by which an update finds where the guest has its memory.
 */
const peers = (line: CommandLine): string[] =>
  argumentsOf(line, 'device')
    .map(pairsOf)
    .filter((pairs) => impliedValue(pairs, 'driver') === 'ivshmem-plain')
    .flatMap((pairs) => {
      const id = optionValue(pairs, 'id')
      if (id === undefined) throw new UsageError('an ivshmem-plain needs an id=, or no update finds it')
      return optionValue(pairs, 'master') === 'on' ? [] : [id]
    })

/** Output files that QEMU opens anew, empty, each time it starts. */
function emptiedFiles(line: CommandLine): string[] {
  const devices = argumentsOf(line, 'serial', 'parallel', 'monitor', 'debugcon', 'qmp').map(
    ({ value = '' }) => value,
  )
  const files = devices
    .filter((value) => value.startsWith('file:'))
    .map((value) => value.slice('file:'.length))
  const chardevs = argumentsOf(line, 'chardev').map(pairsOf)
  const written = chardevs.filter(
    (pairs) => pairs[0]?.value === 'file' && optionValue(pairs, 'append') !== 'on',
  )
  return [...files, ...written.map((pairs) => optionValue(pairs, 'path') ?? '')]
}

/**
 * QEMU's JSON has strings in single quotes as well (`qobject/json-lexer.c`): none of what is refused or
 * changed here would be seen in it.
 */
function refuseUnread(line: CommandLine): void {
  for (const { option = '', value = '' } of line.arguments)
    if (JSON_OPTIONS.includes(option) && value.startsWith('{') && jsonOf(value) === undefined)
      throw new UsageError(`QEMU option -${option} ${value} is no JSON: write it with double quotes`)
}

function refuseUnrepeatable(line: CommandLine): void {
  for (const argument of line.arguments) {
    const reason = argument.option === undefined ? undefined : REFUSED[argument.option]
    if (reason !== undefined) throw new UsageError(`QEMU option -${argument.option} ${reason}`)
    for (const { key, value } of pairsOf(argument)) {
      if (DESCRIPTOR_KEYS.includes(key) && DESCRIPTOR_OPTIONS.includes(argument.option ?? '')) {
        throw new UsageError(`QEMU option -${argument.option} ${key}=${value} ${REFUSED['add-fd']}`)
      }
      const ofRunWith = argument.option === 'run-with' ? REFUSED_RUN_WITH[key] : undefined
      if (ofRunWith !== undefined) throw new UsageError(`QEMU option -run-with ${key}= ${ofRunWith}`)
      if (key === 'snapshot' && argument.option === 'drive' && value !== 'off') {
        throw new UsageError(`QEMU option -drive snapshot=on ${REFUSED.snapshot}`)
      }
    }
  }
}
