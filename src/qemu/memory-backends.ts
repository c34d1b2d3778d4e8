/**
 * The memory-backend-file objects of a command line whose file lies in a pool, one of several perhaps:
 * finding them, refusing what would lose or hide the guest's memory, and adding what a PMD mapping needs.
 */
import { realpathSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { UsageError } from '../values/errors.ts'
import { PMD_BYTES, PTE_BYTES } from '../values/units.ts'
import {
  type Argument,
  argumentsOf,
  type CommandLine,
  driverOf,
  hasOption,
  pairsOf,
  setKeys,
} from './command-line.ts'
import { impliedValue, type OptionString, optionValue } from './option-string.ts'
import { parseQemuSize } from './qemu-size.ts'

/** Without `share=`: backends/hostmem-memfd.c, hostmem-shm.c. */
const SHARED_BY_DEFAULT: ReadonlySet<string> = new Set(['memory-backend-memfd', 'memory-backend-shm'])

/** As QEMU takes them (qapi/string-input-visitor.c). */
const isOn = (value: string): boolean => ['on', 'yes', 'true', 'y'].includes(value)

export interface RamFile {
  /** The object's id, by which the machine refers to it. */
  readonly id: string
  /** Absolute; symlinks are resolved up to the file's directory, not the file's own name. */
  readonly path: string
  readonly sizeBytes: number
  /**
   * Other VMs may have it, too: it is the memory of an ivshmem-plain and of nothing else. Left out for a
   * guest's own RAM.
   */
  readonly isShared?: boolean | undefined
}

/** Where paths of a command line begin, and the mounts that count. */
export interface Place {
  readonly cwd: string
  /** Mount points, resolved; at least one. */
  readonly mounts: readonly string[]
}

/**
 * All RAM files of the mounts: first the machine's own, the first of which gets the VM's record; then those
 * of devices, which may be unplugged; then those that other VMs may have as well. Errors (UsageError): none
 * is the machine's own; one that QEMU would not share, resize wrongly, discard or leave unused.
 */
export function findRamFiles(line: CommandLine, place: Place): RamFile[] {
  if (hasOption(line, 'mem-path')) {
    throw new UsageError(
      'QEMU option -mem-path maps memory privately: use -object memory-backend-file,id=ram,size=…,mem-path=…,share=on',
    )
  }
  const shared = sharedIds(line)
  const found = fileBackends(line, place).map(({ pairs, path }) => checkBackend(pairs, path, shared))
  const [mount, ...more] = place.mounts
  if (found.length === 0) {
    throw new UsageError(
      `no guest RAM under ${[mount, ...more].join(' or ')}: give QEMU -object memory-backend-file,id=ram,size=…,mem-path=${mount}/NAME,share=on`,
    )
  }
  refuseSharedElsewhere(line, found, place)
  const files = machineFirst(line, found)
  const unused = unusedBackends(line, files)
  const [odd] = hasMachineMemory(line) ? unused : unused.slice(1)
  if (odd !== undefined) {
    throw new UsageError(
      `QEMU would not use memory backend '${odd.id}': add memory-backend=${odd.id} to -machine, or a memdev=${odd.id}`,
    )
  }
  const isOwn = ({ id }: RamFile): boolean => machineReferences(line).has(id)
  if (hasMachineMemory(line) ? !files.some(isOwn) : unused.length === 0)
    throw new UsageError(
      `the machine's own RAM would be copied while the guest is stopped: give it a file under ${mount}, by -machine memory-backend=ID`,
    )
  return files
}

function machineFirst(line: CommandLine, files: readonly RamFile[]): RamFile[] {
  const ofDevices = referencesIn(line, 'device')
  const rank = ({ id, isShared }: RamFile): number => (isShared ? 2 : ofDevices.has(id) ? 1 : 0)
  return files.toSorted((a, b) => rank(a) - rank(b))
}

/**
 * Shared memory that is in no file of the mount: QEMU does not write it into the stream, and its unlinked
 * file or memfd ends with QEMU.
 */
function refuseSharedElsewhere(
  line: CommandLine,
  files: readonly RamFile[],
  { mounts }: Pick<Place, 'mounts'>,
): void {
  for (const argument of argumentsOf(line, 'object')) {
    const pairs = pairsOf(argument)
    const type = impliedValue(pairs, 'qom-type') ?? ''
    const id = optionValue(pairs, 'id') ?? ''
    if (!type.startsWith('memory-backend-') || files.some((file) => file.id === id)) continue
    const isShared = optionValue(pairs, 'share') ?? (SHARED_BY_DEFAULT.has(type) ? 'on' : 'off')
    if (!isOn(isShared)) continue
    throw new UsageError(
      `memory backend '${id}' is shared and not under ${mounts.join(' or ')}, and what is in it would be lost: give it a file of a pool by mem-path=, or share=off`,
    )
  }
}

export function hasRamFile(line: CommandLine, place: Place): boolean {
  return fileBackends(line, place).length > 0
}

/**
 * The line with `align=2M`, one PMD mapping, on every RAM file without an `align=`: QEMU cannot see the page
 * size through FUSE. Memory of an ivshmem may be smaller than that.
 */
export function alignRamFiles(line: CommandLine, place: Place): CommandLine {
  let aligned = line
  for (const { argument, pairs } of fileBackends(line, place)) {
    if (optionValue(pairs, 'align') !== undefined) continue
    if ((parseQemuSize(optionValue(pairs, 'size') ?? '') ?? 0) < PMD_BYTES) continue
    aligned = setKeys(aligned, argument, [['align', '2M', PMD_BYTES]])
  }
  return aligned
}

/** The line with `prealloc=off` where it is on. */
export function withoutPrealloc(line: CommandLine): CommandLine {
  return argumentsOf(line, 'object').reduce((changed, argument) => {
    if (!isOn(optionValue(pairsOf(argument), 'prealloc') ?? 'off')) return changed
    return setKeys(changed, argument, [['prealloc', 'off', false]])
  }, line)
}

/** The RAM file that `-machine memory-backend=` must name; undefined: the line uses all of them. */
export function machineMemory(line: CommandLine, files: readonly RamFile[]): RamFile | undefined {
  return unusedBackends(line, files)[0]
}

function unusedBackends(line: CommandLine, files: readonly RamFile[]): RamFile[] {
  const used = referencesIn(line, 'machine', 'M', 'numa', 'device')
  return files.filter(({ id }) => !used.has(id))
}

const machineReferences = (line: CommandLine): Set<string> => referencesIn(line, 'machine', 'M', 'numa')

const hasMachineMemory = (line: CommandLine): boolean => machineReferences(line).size > 0

/** Ids of memory backends that an ivshmem-plain has, and neither the machine nor another device. */
function sharedIds(line: CommandLine): Set<string> {
  const isShared = (argument: Argument): boolean => driverOf(argument) === 'ivshmem-plain'
  const devices = argumentsOf(line, 'device')
  const without = { ...line, arguments: line.arguments.filter((argument) => !isShared(argument)) }
  const elsewhere = referencesIn(without, 'machine', 'M', 'numa', 'device')
  const shared = referencesIn({ ...line, arguments: devices.filter(isShared) }, 'device')
  return shared.difference(elsewhere)
}

/** Ids of the memory backends that these options refer to. */
function referencesIn(line: CommandLine, ...options: readonly string[]): Set<string> {
  const pairs = argumentsOf(line, ...options).flatMap(pairsOf)
  const references = pairs.filter(({ key }) => key === 'memdev' || key === 'memory-backend')
  return new Set(references.map(({ value }) => value ?? ''))
}

interface FileBackend {
  readonly argument: Argument
  readonly pairs: OptionString
  readonly path: string
}

function fileBackends(line: CommandLine, place: Place): FileBackend[] {
  return argumentsOf(line, 'object').flatMap((argument) => {
    const pairs = pairsOf(argument)
    const type = impliedValue(pairs, 'qom-type')
    const memPath = optionValue(pairs, 'mem-path')
    if (type !== 'memory-backend-file' || memPath === undefined) return []
    const path = resolveInDirectory(resolve(place.cwd, memPath))
    return place.mounts.some((mount) => isInside(path, mount)) ? [{ argument, pairs, path }] : []
  })
}

function checkBackend(pairs: OptionString, path: string, shared: ReadonlySet<string>): RamFile {
  const id = optionValue(pairs, 'id') ?? ''
  const has = (key: string) => isOn(optionValue(pairs, key) ?? 'off')
  const refuse = (reason: string): never => {
    throw new UsageError(`memory backend '${id}' on ${path}: ${reason}`)
  }
  if (!has('share')) refuse('needs share=on, or the guest would run in a private copy')
  if (has('discard-data')) refuse("discard-data=on would destroy the guest's memory when QEMU ends")
  if (has('readonly') || has('rom')) refuse('readonly=on cannot be guest RAM')
  if (!/^0*$/.test(optionValue(pairs, 'offset') ?? ''))
    refuse('offset= would leave its beginning unused: leave it away')
  const size = optionValue(pairs, 'size') ?? ''
  const sizeBytes = parseQemuSize(size) ?? refuse(`size '${size}' is not a size`)
  if (!shared.has(id)) {
    if (sizeBytes === 0 || sizeBytes % PMD_BYTES !== 0) refuse(`size=${size} is not a multiple of 2 MiB`)
    return { id, path, sizeBytes }
  }
  // A PCI bar; a store maps whole pages.
  if (sizeBytes < PTE_BYTES || Math.log2(sizeBytes) % 1 !== 0)
    refuse(`size=${size} is not a power of two of at least 4K, as an ivshmem must have it`)
  return { id, path, sizeBytes, isShared: true }
}

/**
 * The file's own name may be a symlink (to a device), which must not be followed; its directory's names are.
 */
export function resolveInDirectory(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch {
    return path // the directory is missing: QEMU or the caller reports it
  }
}

/** Whether `path` names something below `directory`, both absolute. */
export function isInside(path: string, directory: string): boolean {
  const below = relative(directory, path)
  return below !== '' && !below.startsWith('..') && !below.startsWith('/')
}
