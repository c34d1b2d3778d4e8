/**
 * The guestmemfs that the next boot of this machine runs: what its mount helper and its units name, whether
 * that is there and complete, and which formats it reads. Must not: decide whether it suits a pool.
 */
import { accessSync, existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isPoolLine, readFstab } from '../linux/fstab.ts'
import { textIfReadable } from '../linux/readable-file.ts'
import { type CommandWords, LOCAL_PLACES, PACKAGE_PLACES } from './install-files.ts'
import { LAUNCHER, lacksOf, type Reads, readVersion } from './versions/version-folder.ts'

const HELPER = '/sbin/mount.guestmemfs'
/**
 * What mount(8) runs for a line of fstab, the unit of a pool's keeper, and the units that bring the guests
 * back: of several paths systemd reads the first one that is there.
 */
const FILES = [
  [HELPER],
  ...['guestmemfs@.service', 'guestmemfs-early@.service', 'guestmemfs-resume.service'].map((name) =>
    [LOCAL_PLACES, PACKAGE_PLACES].map(({ units }) => `${units}/${name}`),
  ),
]

export interface BootProgram {
  /** The first of the files that name it. */
  readonly by: string
  /** The folder of its version, or the path of its command line's entry. */
  readonly place: string
  /** Why it would not start, or not be what was installed. */
  readonly lacks: string | undefined
  /** undefined: it is from before versions listed that. */
  readonly reads: Reads | undefined
}

export interface NextBoot {
  /** Each once. */
  readonly programs: readonly BootProgram[]
  /** A line of fstab needs a mount helper, and there is none. */
  readonly lacksHelper: boolean
  /** Pools of fstab whose region is named by its number. */
  readonly numbered: readonly NumberedPool[]
}

/** The next kernel may give that number to another region. */
export interface NumberedPool {
  readonly pool: string
  /** `dax1.0` or `dax1`. */
  readonly region: string
}

/** `root`: where the machine's files are; tests have another. */
export function readNextBoot(root = '/'): NextBoot {
  const programs = new Map<string, BootProgram>()
  for (const paths of FILES) {
    const by = paths.find((path) => existsSync(join(root, path)))
    const command = by === undefined ? [] : commandIn(textIfReadable(join(root, by)))
    if (by === undefined || command.length === 0) continue
    const program = look(by, command)
    if (!programs.has(program.place)) programs.set(program.place, program)
  }
  return {
    programs: [...programs.values()],
    lacksHelper: isInFstab(root) && !existsSync(join(root, HELPER)),
    numbered: numberedPools(root),
  }
}

/** A line of fstab mounts a pool. */
export const isInFstab = (root = '/'): boolean => poolsOfFstab(root).length > 0

/** Pools of fstab whose region is named by its number. */
export const numberedPools = (root = '/'): NumberedPool[] =>
  poolsOfFstab(root).flatMap(({ pool, options }) => {
    const [, region] = /(?:^|,)region=(dax\d+(?:\.0)?)(?=,|$)/.exec(options) ?? []
    return region === undefined ? [] : [{ pool, region }]
  })

/** Of each line for guestmemfs: the pool's name and the options. */
export const poolsOfFstab = (root: string): { readonly pool: string; readonly options: string }[] =>
  readFstab(join(root, '/etc/fstab'))
    .filter(isPoolLine)
    .map(({ source, options }) => ({ pool: source, options }))

/**
 * The absolute paths with which a helper's `exec` or a unit's `ExecStart=` begins: the launcher of a version,
 * or, by former versions, Node and a command line's entry. The quotes of both are those of
 * `install-files.ts`.
 */
export function commandIn(text: string): CommandWords {
  const line = /^(?:exec |ExecStart=)(?=["'/])(.*)$/m.exec(text)?.[1] ?? ''
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"|((?:'[^']*'|\\'|[^\s'"])+)/g)].map(
    ([, inUnit, inShell = '']) =>
      inUnit?.replace(/\\(.)|%%|\$\$/g, (found, escaped = found[0]) => escaped) ??
      inShell.replace(/'([^']*)'|\\'/g, (_, kept = "'") => kept),
  )
  const others = words.findIndex((word) => !word.startsWith('/'))
  return words.slice(0, others < 0 ? undefined : others)
}

function look(by: string, command: CommandWords): BootProgram {
  const [first = '', second] = command
  if (second !== undefined || !first.endsWith(`/${LAUNCHER}`)) {
    const missing = command.find((path) => !existsSync(path))
    const lacks = missing === undefined ? undefined : `${missing} is not there`
    return { by, place: second ?? first, lacks, reads: undefined }
  }
  try {
    const folder = realpathSync(dirname(first))
    accessSync(first)
    return { by, place: folder, lacks: lacksOf(folder), reads: readVersion(folder)?.reads }
  } catch {
    return { by, place: first, lacks: `${first} is missing, or links to a missing file`, reads: undefined }
  }
}
