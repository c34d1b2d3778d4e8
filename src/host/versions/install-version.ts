/**
 * Installs a version of the program beside the others, and makes `current` lead to it.
 *
 * Why a crash at any moment leaves an installation that works. A version is made in a folder of another name,
 * is on the disk before it is renamed, and is never written to after that. `current` is replaced by
 * rename(2): it leads to the former version or to the new one, and both are complete. What a crash leaves of
 * an unfinished version has a name that begins with a dot; no link leads there, and the next installation
 * removes it. Two installations at once exclude each other by a lock.
 *
 * Why no guest loses anything. No file that a process runs is changed, nor removed while one runs it: each
 * process starts others from the folder of its own entry, links resolved when it was started.
 */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { lockFile } from '../../linux/lock-file.ts'
import { syncFileSystem } from '../../linux/sync-file-system.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import type { Program } from '../this-program.ts'
import { NODE_PATH, type ProgramFile, programFiles } from './program-files.ts'
import { readAhead } from './read-ahead.ts'
import {
  buildOf,
  CURRENT,
  folderName,
  LAUNCHER,
  lacksOf,
  linkedName,
  MANIFEST_NAME,
  PREVIOUS,
  type Reads,
  sha256Of,
  type VersionManifest,
} from './version-folder.ts'

const LOCK = '.lock'
const UNFINISHED = '.new'

export interface InstalledVersion {
  /** Its folder's name. */
  readonly name: string
  /** This call installed it. */
  readonly isNew: boolean
}

/** `folder`, of versions, with its links resolved; made where it is missing. */
export function makeLibrary(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  return realpathSync(folder)
}

/** Throws UsageError where another process holds the lock. */
export function withLibraryLock<T>(library: string, work: () => T): T {
  const lock = lockFile(join(library, LOCK))
  if (lock instanceof Errno)
    throw new UsageError(`another installation is under way in ${library}: wait for it`)
  try {
    return work()
  } finally {
    closeSync(lock)
  }
}

/**
 * `$0` is the path by which it was started, with `current` in it: from the next line on only the version's
 * own folder counts.
 */
const launcher = (entry: string): string => `#!/bin/sh
# Installed by guestmemfs: runs the version that this file lies in, whatever "current" becomes meanwhile.
here=$(CDPATH= cd -P -- "\${0%/*}" && pwd -P) || exit 1
${readAhead(`"$here/${NODE_PATH}"`)}exec "$here/${NODE_PATH}"${entry.endsWith('.ts') ? ' --disable-warning=ExperimentalWarning' : ''} "$here/${entry}" "$@"
`

/** `reads`: the formats that the program reads. The caller has the lock. Errors: UsageError; Node's. */
export function installVersion(library: string, program: Program, reads: Reads): InstalledVersion {
  const inside = nameInside(library, program)
  if (inside !== undefined) return { name: inside, isNew: false }
  removeUnfinished(library)
  const files = programFiles(program)
  const digests = [
    { path: LAUNCHER, sha256: sha256Of(launcher(program.entry)) },
    ...files.map(({ path, source }) => ({ path, sha256: sha256Of(readFileSync(source)) })),
  ]
  const manifest: VersionManifest = {
    format: 1,
    version: program.version,
    build: buildOf(digests),
    reads,
    files: digests,
  }
  const name = freeName(library, folderName(manifest))
  if (existsSync(join(library, name))) return { name, isNew: false }
  const unfinished = join(library, `${UNFINISHED}-${name}`)
  mkdirSync(unfinished, { mode: 0o755 })
  for (const file of files) copyFile(file, join(unfinished, file.path))
  writeFileSync(join(unfinished, LAUNCHER), launcher(program.entry))
  chmodSync(join(unfinished, LAUNCHER), 0o755)
  writeFileSync(join(unfinished, MANIFEST_NAME), `${JSON.stringify(manifest, undefined, 1)}\n`)
  // The program's own files may have been replaced while they were copied.
  const lacks = lacksOf(unfinished)
  if (lacks !== undefined) throw new UsageError(`what was copied is not whole: ${lacks}: install again`)
  syncFileSystem(unfinished)
  renameSync(unfinished, join(library, name))
  return { name, isNew: true }
}

/** The installed version that this program runs from, if it does. */
function nameInside(library: string, { root }: Program): string | undefined {
  const rest = root.startsWith(`${library}/`) ? root.slice(library.length + 1) : ''
  return rest === '' || rest.includes('/') ? undefined : rest
}

/**
 * A folder of the name that is not complete stays, because processes may run from it: then another name is
 * used.
 */
function freeName(library: string, wanted: string): string {
  for (let number = 1; ; number++) {
    const name = number === 1 ? wanted : `${wanted}.${number}`
    const folder = join(library, name)
    if (!existsSync(folder) || lacksOf(folder) === undefined) return name
  }
}

function removeUnfinished(library: string): void {
  for (const name of readdirSync(library))
    if (name.startsWith(UNFINISHED)) rmSync(join(library, name), { recursive: true, force: true })
}

function copyFile({ path, source, isExecutable }: ProgramFile, target: string): void {
  mkdirSync(dirname(target), { recursive: true, mode: 0o755 })
  if (path === NODE_PATH && linkFile(source, target)) return
  copyFileSync(source, target, constants.COPYFILE_FICLONE)
  chmodSync(target, isExecutable ? 0o755 : 0o644)
}

/**
 * Node is a hundred megabytes. A link is as good as a copy where root alone may write to the file: package
 * managers replace it by another one, and the kernel refuses to write to it while it runs (ETXTBSY).
 */
function linkFile(source: string, target: string): boolean {
  const { uid, mode } = statSync(source)
  if (uid !== 0 || (mode & 0o022) !== 0) return false
  try {
    linkSync(realpathSync(source), target)
    return true
  } catch {
    return false // Another file system, or one without links.
  }
}

/** Returns the name of the version that was current before. */
export function makeCurrent(library: string, name: string): string | undefined {
  const former = linkedName(library, CURRENT)
  if (former === name) return former
  if (former !== undefined) replaceLink(library, PREVIOUS, former)
  replaceLink(library, CURRENT, name)
  syncFileSystem(library)
  return former
}

function replaceLink(library: string, link: string, name: string): void {
  const unfinished = join(library, `${UNFINISHED}-${link}`)
  rmSync(unfinished, { force: true })
  symlinkSync(name, unfinished)
  renameSync(unfinished, join(library, link))
}
