/**
 * Removes versions that nothing uses: no process executes one of their files, and neither `current` nor
 * `previous` leads there.
 *
 * Why no process can lose its version. A folder without users is renamed, and its users are searched for once
 * more: no process finds it by its name any more, and the kernel shows one that runs from it by the new name.
 * So a process that was started in between is found, and the folder gets its name back.
 */
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { CURRENT, linkedName, PREVIOUS, versionNames } from './version-folder.ts'
import { usersOf } from './version-users.ts'

/** Prefix of a version that is being removed: no process finds it by its name. */
const HIDDEN = '.old-'

export interface UsedVersion {
  readonly name: string
  readonly pids: readonly number[]
}

export interface RemovedVersions {
  readonly removed: readonly string[]
  /** Not removed. */
  readonly used: readonly UsedVersion[]
}

/** `library`: without links. The caller has its lock. */
export function removeVersions(library: string, kept: readonly (string | undefined)[]): RemovedVersions {
  finishRemovals(library)
  const removed: string[] = []
  const used: UsedVersion[] = []
  for (const name of versionNames(library)) {
    if (kept.includes(name)) continue
    const pids = removeVersion(library, name)
    if (pids.length === 0) removed.push(name)
    else used.push({ name, pids })
  }
  return { removed, used }
}

export const removeUnused = (library: string): RemovedVersions =>
  removeVersions(library, [linkedName(library, CURRENT), linkedName(library, PREVIOUS)])

/** Returns the processes that use it; none: it is gone. */
function removeVersion(library: string, name: string): number[] {
  const [folder, hidden] = [join(library, name), join(library, HIDDEN + name)]
  const before = usersOf(folder)
  if (before.length > 0) return before
  renameSync(folder, hidden)
  const since = usersOf(hidden)
  if (since.length > 0) renameSync(hidden, folder)
  else rmSync(hidden, { recursive: true, force: true })
  return since
}

/** Versions whose removal was interrupted: a part of them may be gone already. */
function finishRemovals(library: string): void {
  for (const entry of readdirSync(library)) {
    if (!entry.startsWith(HIDDEN)) continue
    const folder = join(library, entry)
    // A process that still runs from it was started before the rename: then the folder gets its name back.
    if (usersOf(folder).length === 0) rmSync(folder, { recursive: true, force: true })
    else renameSync(folder, join(library, entry.slice(HIDDEN.length)))
  }
}
