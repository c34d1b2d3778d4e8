/**
 * `guestmemfs reserve`: print the kernel parameters that set RAM aside on this machine. Must not: change
 * anything.
 */

import { carveOuts } from '../bootmem/carve-out.ts'
import { readMachineMemory } from '../bootmem/machine-memory.ts'
import {
  type BootFile,
  grubbyCommand,
  grubFile,
  kernelInstallFile,
  kexecCommand,
} from '../bootmem/reserve-loaders.ts'
import { inGibibytes } from '../bootmem/reserve-place.ts'
import { planReserve, type ReservePlan } from '../bootmem/reserve-plan.ts'
import type { CommandModule } from '../cli/command.ts'
import { print, printJson } from '../cli/print.ts'
import { formatBytes } from '../linux/memmap.ts'
import { kernelCommandLineText, splitCommandLine } from '../linux/memory-info.ts'
import { STORES } from '../stores/registry.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize, parseSize } from '../values/size.ts'
import { type CarveOutType, STORE_KINDS } from '../values/store-kinds.ts'

interface ReserveOptions {
  readonly size: string
  readonly at?: string
  readonly numa?: string
  readonly replace?: boolean
  readonly store: string
  readonly json?: boolean
}

export const command: CommandModule = {
  name: 'reserve',
  group: 'Setup',
  summary: 'print the kernel parameters that set RAM aside for a pool; changes nothing',
  description: `
    Chooses a range of this machine's memory for a pool of the dax or the devmem store, and prints the
    words for the kernel's command line that keep the kernel away from it, ready for GRUB, grubby,
    systemd-boot and kexec. It changes nothing. After the next boot 'guestmemfs doctor' says what the
    kernel made of it.`,
  exitStatus: {
    0: 'the words are printed',
    1: 'there is no such place, or the request breaks a rule, which is named',
  },
  examples: [
    { about: '10 GiB, wherever it is best', typed: 'guestmemfs reserve --size 10G' },
    { about: 'another size than now', typed: 'guestmemfs reserve --size 20G --replace' },
  ],
  seeAlso: [
    'guestmemfs-doctor(8)',
    'guestmemfs-format(8)',
    'docs/guide/carve-out.md',
    'docs/guide/stores.md',
  ],
  changes: false,
  register: (command) =>
    command
      .requiredOption('--size <size>', 'how much, as 10G')
      .option('--at <address>', 'where: a physical address, as 16G or 0x400000000; default: the best place')
      .option('--numa <node>', 'in this memory node')
      .option('--store <kind>', 'dax, or devmem: hidden, without struct pages', 'dax')
      .option('--replace', 'instead of the carve-outs of the running kernel')
      .option('--json', 'print one JSON object')
      .action(reserve),
}

function reserve(options: ReserveOptions): void {
  if (process.arch !== 'x64')
    throw new UsageError(`memmap= is an option of x86-64 kernels: on ${process.arch} use the memfd store`)
  const commandLine = kernelCommandLineText()
  const memory = readMachineMemory(carveOuts(splitCommandLine(commandLine)))
  const plan = planReserve(memory, commandLine, {
    sizeBytes: parseSize(options.size, 'size'),
    at: options.at === undefined ? undefined : parseAddress(options.at),
    node: options.numa === undefined ? undefined : parseNode(options.numa),
    replace: options.replace === true,
    type: carveOutOf(options.store),
  })
  if (options.json) printJson(asJson(plan, options.store))
  else for (const line of asText(plan, options.store)) print(line)
}

const parseAddress = (text: string): number =>
  /^0x[0-9a-f]{1,13}$/i.test(text) ? Number(text) : parseSize(text, 'address')

/** How memory is set aside for a store. */
function carveOutOf(store: string): CarveOutType {
  const kind = STORE_KINDS.find((known) => known === store)
  const type = kind !== undefined && STORES[kind].carveOut
  if (type) return type
  const able = STORE_KINDS.filter((known) => STORES[known].carveOut)
  throw new UsageError(`store '${store}' needs no memory set aside: take ${able.join(' or ')}`)
}

function parseNode(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new UsageError(`memory node '${text}' is not a number`)
  return Number(text)
}

const asJson = (plan: ReservePlan, store: string) => ({
  store,
  startByte: plan.range.start,
  sizeBytes: plan.range.lengthBytes,
  alignBytes: plan.alignBytes,
  nodes: plan.nodes,
  ramBytes: plan.ramBytes,
  hostKeepsBytes: plan.hostKeepsBytes,
  addWords: plan.addWords,
  dropWords: plan.dropWords,
  commandLine: plan.commandLine,
  grub: grubFile(plan),
  kernelInstall: kernelInstallFile(plan),
  grubby: grubbyCommand(plan),
  kexec: plan.kexec ? kexecCommand(plan) : null,
  notes: plan.notes,
})

function* asText(plan: ReservePlan, store: string): Generator<string> {
  const { range, alignBytes, nodes, addWords, dropWords } = plan
  const last = range.start + range.lengthBytes - 1
  const where = `${formatBytes(range.start)} (0x${range.start.toString(16)}-0x${last.toString(16)})`
  const node = nodes.length === 0 ? '' : `, memory node ${nodes.join(', ')}`
  yield `carve-out   ${formatSize(range.lengthBytes)} at ${where}, aligned to ${formatSize(alignBytes)}${node}`
  yield `host keeps  ${inGibibytes(plan.hostKeepsBytes)} of ${inGibibytes(plan.ramBytes)}`
  yield `add         ${addWords.join(' ')}`
  if (dropWords.length > 0) yield `remove      ${dropWords.join(' ')}`
  for (const note of plan.notes) yield `note        ${note}`
  yield* bootFile('GRUB', grubFile(plan))
  yield* section('GRUB with grubby', grubbyCommand(plan))
  yield* bootFile('systemd-boot', kernelInstallFile(plan))
  if (plan.kexec)
    yield* section('without a reboot: kexec, then systemctl kexec (or kexec -e)', kexecCommand(plan))
  else
    yield* section(
      'kexec',
      'not this time: it would load the kernel at the top of RAM, and nothing would move it',
    )
  yield* section(
    'then',
    `reboot; 'guestmemfs doctor' checks what the new kernel made of it\nmount -t guestmemfs -o store=${store} guestmemfs /mnt/guestmemfs`,
  )
}

const bootFile = (loader: string, { path, text, command }: BootFile): Generator<string> =>
  section(`${loader}: write ${path}, then ${command}`, text)

function* section(title: string, text: string): Generator<string> {
  yield ''
  yield title
  for (const line of text.trimEnd().split('\n')) yield `  ${line}`
}
