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
import { type PlannedRange, planReserve, type ReservePlan } from '../bootmem/reserve-plan.ts'
import { placesOf } from '../bootmem/reserve-request.ts'
import type { CommandModule } from '../cli/command.ts'
import { print, printJson } from '../cli/print.ts'
import { formatBytes } from '../linux/memmap.ts'
import { kernelCommandLineText, splitCommandLine } from '../linux/memory-info.ts'
import { STORES } from '../stores/registry.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
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
    parameters for the kernel's command line that keep the kernel away from it, ready for GRUB, grubby,
    systemd-boot and kexec. It changes nothing. After the next boot 'guestmemfs doctor' says what the
    kernel made of it.

    With several memory nodes (--numa 0,1 or --numa all) it chooses one range in each, for a pool of its
    own.`,
  exitStatus: {
    0: 'the parameters are printed',
    1: 'there is no such place, or the request breaks a rule, which is named',
  },
  examples: [
    { about: '10 GiB, wherever it is best', typed: 'guestmemfs reserve --size 10G' },
    { about: 'another size than now', typed: 'guestmemfs reserve --size 20G --replace' },
    { about: 'in each of two memory nodes', typed: 'guestmemfs reserve --size 10G,40G --numa 0,1' },
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
      .requiredOption('--size <size>', 'how much, as 10G; where nodes differ, one for each, as 10G,40G')
      .option('--at <address>', 'where: a physical address, as 16G or 0x400000000; default: the best place')
      .option('--numa <nodes>', 'in this memory node; of several, as 0,1, or of all, a range in each')
      .option('--store <kind>', 'dax, or devmem: hidden, without struct pages', 'dax')
      .option('--replace', 'instead of the carve-outs of the running kernel')
      .option('--json', 'print JSON')
      .action(reserve),
}

function reserve(options: ReserveOptions): void {
  if (process.arch !== 'x64')
    throw new UsageError(`memmap= is an option of x86-64 kernels: on ${process.arch} use the memfd store`)
  const commandLine = kernelCommandLineText()
  const memory = readMachineMemory(carveOuts(splitCommandLine(commandLine)))
  const plan = planReserve(memory, commandLine, {
    places: placesOf({ size: options.size, numa: options.numa, at: options.at }, memory.nodes),
    replace: options.replace === true,
    type: carveOutOf(options.store),
  })
  if (options.json) printJson<'reserve'>(asJson(plan, options.store))
  else for (const line of asText(plan, options.store)) print(line)
}

/** How memory is set aside for a store. */
function carveOutOf(store: string): CarveOutType {
  const kind = STORE_KINDS.find((known) => known === store)
  const type = kind !== undefined && STORES[kind].carveOut
  if (type) return type
  const able = STORE_KINDS.filter((known) => STORES[known].carveOut)
  throw new UsageError(`store '${store}' needs no memory set aside: take ${able.join(' or ')}`)
}

const rangeJson = ({ range, alignBytes, nodes }: PlannedRange) => ({
  startByte: range.start,
  sizeBytes: range.lengthBytes,
  alignBytes,
  nodes,
})

const asJson = (plan: ReservePlan, store: string) => ({
  store,
  ranges: plan.ranges.map((each) => ({ ...rangeJson(each), mount: mountLine(each, plan, store) })),
  ramBytes: plan.ramBytes,
  hostKeepsBytes: plan.hostKeepsBytes,
  nodesKeep: plan.nodesKeep,
  addWords: plan.addWords,
  dropWords: plan.dropWords,
  commandLine: plan.commandLine,
  grub: grubFile(plan),
  kernelInstall: kernelInstallFile(plan),
  grubby: grubbyCommand(plan),
  kexec: plan.kexec ? kexecCommand(plan) : null,
  notes: plan.notes,
})

/** Of several regions each is named by its first byte: the next kernel may number them otherwise. */
function mountLine(
  { range, nodes }: PlannedRange,
  { ranges, hasOthers }: ReservePlan,
  store: string,
): string {
  const region = hasOthers ? `,region=0x${range.start.toString(16)}` : ''
  const name = ranges.length === 1 ? 'guestmemfs' : `node${nodes[0] ?? formatBytes(range.start)}`
  return `mount -t guestmemfs -o store=${store}${region} ${name} /mnt/${name}`
}

function rangeText({ range, alignBytes, nodes }: PlannedRange): string {
  const last = range.start + range.lengthBytes - 1
  const where = `${formatBytes(range.start)} (0x${range.start.toString(16)}-0x${last.toString(16)})`
  const node = nodes.length === 0 ? '' : `, memory node ${nodes.join(', ')}`
  return `carve-out   ${formatSize(range.lengthBytes)} at ${where}, aligned to ${formatSize(alignBytes)}${node}`
}

function* asText(plan: ReservePlan, store: string): Generator<string> {
  const { ranges, nodesKeep, addWords, dropWords } = plan
  for (const each of ranges) yield rangeText(each)
  const apart = nodesKeep.map(({ node, keepsBytes }) => `node ${node}: ${inGibibytes(keepsBytes)}`)
  const share = apart.length > 1 ? ` (${apart.join(', ')})` : ''
  yield `host keeps  ${inGibibytes(plan.hostKeepsBytes)} of ${inGibibytes(plan.ramBytes)}${share}`
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
    [
      "reboot; 'guestmemfs doctor' checks what the new kernel made of it",
      ...ranges.map((each) => mountLine(each, plan, store)),
    ].join('\n'),
  )
}

const bootFile = (loader: string, { path, text, command }: BootFile): Generator<string> =>
  section(`${loader}: write ${path}, then ${command}`, text)

function* section(title: string, text: string): Generator<string> {
  yield ''
  yield title
  for (const line of text.trimEnd().split('\n')) yield `  ${line}`
}
