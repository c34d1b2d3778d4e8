/**
 * The versions of the Debian package. dpkg replaces and removes the files that it has unpacked, whoever runs
 * them; so the package's scripts copy them to a folder of their own, by the rules of `guestmemfs install`,
 * and remove a folder when no process runs from it (docs/guide/versions.md). Node is linked, not copied.
 *
 * Must not: start or restart a process, or write a file that dpkg has.
 */
import { existsSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { UsageError } from '../values/errors.ts'
import { editedFiles, isInstalled } from './install-and-remove.ts'
import { inOneLine, type UninstalledProgram, uninstallProgram } from './install-program.ts'
import type { Program } from './this-program.ts'
import { installVersion, makeCurrent, makeLibrary, withLibraryLock } from './versions/install-version.ts'
import { type RemovedVersions, removeVersions, type UsedVersion } from './versions/remove-versions.ts'
import {
  CURRENT,
  linkedName,
  PACKAGE_LIBRARY,
  PREVIOUS,
  type Reads,
  versionNames,
} from './versions/version-folder.ts'
import { usersOf } from './versions/version-users.ts'

export interface PackagedVersion {
  /** Absolute path of its folder. */
  readonly folder: string
  readonly name: string
  /** The name of the one that was current before; undefined: none of the package's. */
  readonly former: string | undefined
}

/**
 * Makes `program`, which dpkg has unpacked, the current version; `reads`: the formats that it reads. Typed
 * again it changes nothing. Throws UsageError; then the former version is current.
 */
export function installPackaged(root: string, program: Program, reads: Reads): PackagedVersion {
  return inOneLine(() => {
    const library = makeLibrary(join(root, PACKAGE_LIBRARY))
    return withLibraryLock(library, () => {
      const { name } = installVersion(library, program, reads)
      const former = makeCurrent(library, name)
      // dpkg alone goes back to a former version; nor may a link stay to what `guestmemfs install` had made.
      rmSync(join(library, PREVIOUS), { force: true })
      const isPackaged = former !== undefined && !former.includes('/')
      return { folder: join(library, name), name, former: isPackaged ? former : undefined }
    })
  })
}

/** Removes the versions that no process runs, but for the current one. */
export function removeFormerPackaged(root: string): RemovedVersions {
  const library = realpathSync(join(root, PACKAGE_LIBRARY))
  return withLibraryLock(library, () => removeVersions(library, [linkedName(library, CURRENT)]))
}

/** A process that was about to end, such as the watcher of guests that have ended. */
const ENDING_MS = 5000
const PAUSE_MS = 100

/**
 * Removes all versions. Throws UsageError where processes run one of them, and still do after `waitMs`: then
 * all are there.
 */
export async function removePackaged(root: string, waitMs = ENDING_MS): Promise<void> {
  const folder = join(root, PACKAGE_LIBRARY)
  if (!existsSync(folder)) return
  const library = realpathSync(folder)
  const deadline = performance.now() + waitMs
  while (usedVersions(library).length > 0 && performance.now() < deadline) await sleep(PAUSE_MS)
  withLibraryLock(library, () => {
    const used = usedVersions(library)
    if (used.length === 0) used.push(...removeVersions(library, []).used)
    const pids = used.flatMap((version) => version.pids)
    if (pids.length > 0) throw new UsageError(`process ${pids.join(', ')} runs guestmemfs: end it first`)
    rmSync(library, { recursive: true })
  })
}

const usedVersions = (library: string): UsedVersion[] =>
  versionNames(library)
    .map((name) => ({ name, pids: usersOf(join(library, name)) }))
    .filter(({ pids }) => pids.length > 0)

/** dpkg has replaced them by the package's: /sbin is a link to /usr/sbin. */
const REPLACED = ['/sbin/mount.guestmemfs', '/sbin/mount.fuse.guestmemfs']

export interface MovedInstallation {
  /** Files that an operator has changed: then all of the installation is as it was. */
  readonly edited: readonly string[]
  /** undefined: there was none, or it is as it was. */
  readonly uninstalled: UninstalledProgram | undefined
}

/**
 * Removes what `guestmemfs install` wrote, as units in /etc go before those of a package, once the package
 * has a current version. A unit that was changed runs the installed version, so both stay until an operator
 * has taken it away.
 */
export function removeInstalled(root: string): MovedInstallation {
  if (!isInstalled(root)) return { edited: [], uninstalled: undefined }
  const edited = editedFiles(root).filter((path) => !REPLACED.includes(path))
  if (edited.length > 0) return { edited: edited.map((path) => join(root, path)), uninstalled: undefined }
  return { edited, uninstalled: uninstallProgram(root) }
}
