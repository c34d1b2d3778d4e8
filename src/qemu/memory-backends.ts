/**
 * Owns the memory-backend-file objects of a command line whose file lies in the mount: finding them, refusing
 * what would lose or hide the guest's memory, and adding what a PMD mapping needs.
 */
import { realpathSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { UsageError } from '../values/errors.ts'
import { PMD_BYTES } from '../values/units.ts'
import { type Argument, argumentsOf, type CommandLine, hasOption, pairsOf, setKeys } from './command-line.ts'
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
}

/** Where paths of a command line begin, and the mount that counts. */
export interface Place {
  readonly cwd: string
  /** The mount point, resolved. */
  readonly mount: string
}

/**
 * All RAM files of the mount, in order. Errors (UsageError): none, one that QEMU would not share, resize
 * wrongly, discard or leave unused.
 */
export function findRamFiles(line: CommandLine, place: Place): RamFile[] {
  if (hasOption(line, 'mem-path')) {
    throw new UsageError(
      'QEMU option -mem-path maps memory privately: use -object memory-backend-file,id=ram,size=…,mem-path=…,share=on',
    )
  }
  const files = fileBackends(line, place).map(({ pairs, path }) => checkBackend(pairs, path))
  if (files.length === 0) {
    throw new UsageError(
      `no guest RAM under ${place.mount}: give QEMU -object memory-backend-file,id=ram,size=…,mem-path=${place.mount}/NAME,share=on`,
    )
  }
  refuseSharedElsewhere(line, files)
  const unused = unusedBackends(line, files)
  const [odd] = hasMachineMemory(line) ? unused : unused.slice(1)
  if (odd !== undefined) {
    throw new UsageError(
      `QEMU would not use memory backend '${odd.id}': add memory-backend=${odd.id} to -machine, or a memdev=${odd.id}`,
    )
  }
  if (!hasMachineMemory(line) && unused.length === 0)
    throw new UsageError(
      `the machine's own RAM would be copied while the guest stands still: give it a file under ${place.mount}, by -machine memory-backend=ID`,
    )
  return files
}

/**
 * Shared memory that is in no file of the mount: QEMU does not write it into the stream, and its unlinked
 * file or memfd ends with QEMU.
 */
function refuseSharedElsewhere(line: CommandLine, files: readonly RamFile[]): void {
  for (const argument of argumentsOf(line, 'object')) {
    const pairs = pairsOf(argument)
    const type = impliedValue(pairs, 'qom-type') ?? ''
    const id = optionValue(pairs, 'id') ?? ''
    if (!type.startsWith('memory-backend-') || files.some((file) => file.id === id)) continue
    const isShared = optionValue(pairs, 'share') ?? (SHARED_BY_DEFAULT.has(type) ? 'on' : 'off')
    if (!isOn(isShared)) continue
    throw new UsageError(
      `memory backend '${id}' is shared and in no pool, and what is in it would be lost: give it a file of the pool by mem-path=, or share=off`,
    )
  }
}

export function hasRamFile(line: CommandLine, place: Place): boolean {
  return fileBackends(line, place).length > 0
}

/**
 * The line with `align=2M`, one PMD mapping, on every RAM file without an `align=`: QEMU cannot see the page
 * size through FUSE.
 */
export function alignRamFiles(line: CommandLine, place: Place): CommandLine {
  let aligned = line
  for (const { argument, pairs } of fileBackends(line, place)) {
    if (optionValue(pairs, 'align') !== undefined) continue
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

function hasMachineMemory(line: CommandLine): boolean {
  return referencesIn(line, 'machine', 'M', 'numa').size > 0
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
    return isInside(path, place.mount) ? [{ argument, pairs, path }] : []
  })
}

function checkBackend(pairs: OptionString, path: string): RamFile {
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
  if (sizeBytes === 0 || sizeBytes % PMD_BYTES !== 0) refuse(`size=${size} is not a multiple of 2 MiB`)
  return { id, path, sizeBytes }
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

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path)
  return way !== '' && !way.startsWith('..') && !way.startsWith('/')
}
