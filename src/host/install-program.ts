/**
 * The installation of this program: its version beside the others, the link `current` to it, and the files by
 * which the machine runs the current version; and the reverse.
 *
 * The order is what makes each step safe. Before it changes anything, it checks that no foreign file is in
 * the way. The version is complete before `current` leads to it, and `current` exists before a file names it.
 * Former versions are removed last, and only those that no process runs.
 */
import { existsSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../values/errors.ts'
import {
  checkNoForeignFile,
  install,
  isInstalled,
  missingFolders,
  type Uninstalled,
  uninstall,
  type Written,
} from './install-and-remove.ts'
import { currentCommand, type InstallFile, installFiles } from './install-files.ts'
import { shareFiles } from './share-files.ts'
import type { Program } from './this-program.ts'
import { installVersion, makeCurrent, makeLibrary, withLibraryLock } from './versions/install-version.ts'
import { type RemovedVersions, removeUnused, removeVersions } from './versions/remove-versions.ts'
import { CURRENT, isPackaged, LIBRARY, PREVIOUS, type Reads } from './versions/version-folder.ts'

export interface InstalledProgram extends Written {
  readonly version: string
  /** The version's folder was there already. */
  readonly wasThere: boolean
  /** The version that was current before; undefined: none was. */
  readonly former: string | undefined
  readonly versions: RemovedVersions
}

/**
 * `reads`: the formats that `program` reads. `files`: those by which the machine runs the current version;
 * manual pages and completions come besides. Throws UsageError; then what was installed works as before.
 */
export function installProgram(
  prefix: string,
  program: Program,
  reads: Reads,
  files: readonly InstallFile[] = installFiles(currentCommand(prefix)),
): InstalledProgram {
  if (isPackaged(prefix))
    throw new UsageError(
      "guestmemfs is installed as a Debian package here: install a newer one, or 'apt-get remove guestmemfs' first",
    )
  const all = [...files, ...shareFiles(program.root)]
  checkNoForeignFile(prefix, all)
  return inOneLine(() => installFrom(prefix, all, program, reads))
}

/** Turns errors of the file system (a full disk, one that is read-only) into a UsageError. */
export function inOneLine<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new UsageError(
      `${path ?? 'the disk'}: ${code}: what is installed works as before; resolve that and install again`,
      { cause: error },
    )
  }
}

function installFrom(
  prefix: string,
  files: readonly InstallFile[],
  program: Program,
  reads: Reads,
): InstalledProgram {
  const folders = missingFolders(prefix, join(LIBRARY, CURRENT))
  const library = makeLibrary(join(prefix, LIBRARY))
  return withLibraryLock(library, () => {
    const { name, isNew } = installVersion(library, program, reads)
    const former = makeCurrent(library, name)
    const written = install(prefix, files, folders)
    return { ...written, version: name, wasThere: !isNew, former, versions: removeUnused(library) }
  })
}

export interface UninstalledProgram extends Uninstalled {
  readonly versions: RemovedVersions
}

/**
 * Versions that processes run stay until the next call, which needs nothing else of an installation. Throws
 * UsageError where nothing is installed, or only those.
 */
export function uninstallProgram(prefix: string): UninstalledProgram {
  const library = join(prefix, LIBRARY)
  if (isPackaged(prefix) && !existsSync(library) && !isInstalled(prefix))
    throw new UsageError("guestmemfs is installed as a Debian package here: 'apt-get remove guestmemfs'")
  if (!existsSync(library)) return { ...uninstall(prefix), versions: { removed: [], used: [] } }
  return withLibraryLock(realpathSync(library), () => uninstallFrom(prefix, library))
}

function uninstallFrom(prefix: string, library: string): UninstalledProgram {
  let versions: RemovedVersions = { removed: [], used: [] }
  if (isInstalled(prefix)) {
    // After units and helpers, so that nothing starts a version that is being removed.
    const files = uninstall(prefix, () => {
      versions = removeLibrary(library)
    })
    return { ...files, versions }
  }
  versions = removeLibrary(library)
  if (versions.removed.length > 0) return { removed: [], kept: [], versions }
  const left = versions.used.map(({ name, pids }) => `${name}, which process ${pids.join(', ')} runs`)
  throw new UsageError(`nothing of guestmemfs is left below ${prefix} but ${left.join('; ') || 'links'}`)
}

/** The caller has the lock. */
function removeLibrary(library: string): RemovedVersions {
  const versions = removeVersions(realpathSync(library), [])
  if (versions.used.length === 0) rmSync(library, { recursive: true })
  else for (const link of [CURRENT, PREVIOUS]) rmSync(join(library, link), { force: true })
  return versions
}

/** Removes versions that `uninstallProgram` left because processes ran them, as far as these have ended. */
export function removeLeftVersions(prefix: string): RemovedVersions {
  const library = join(prefix, LIBRARY)
  if (isInstalled(prefix) || !existsSync(library)) return { removed: [], used: [] }
  return withLibraryLock(realpathSync(library), () => removeLibrary(library))
}
