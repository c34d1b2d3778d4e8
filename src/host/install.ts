/**
 * Owns putting files on a machine and taking exactly those away again. What was made is written down first
 * (the manifest), so that an install that was interrupted can be undone too.
 * Must not: overwrite a file it did not make, or remove one that somebody has changed since.
 */
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { CorruptBytesError, UsageError } from '../values/errors.ts'
import type { InstallFile } from './install-files.ts'

const MANIFEST = '/var/lib/guestmemfs/installed.json'

const Manifest = v.object({
  format: v.literal(1),
  /** Paths below the prefix, with the SHA-256 of what was written. */
  files: v.array(v.object({ path: v.string(), sha256: v.string() })),
  /** Folders made on the way, outermost first. */
  folders: v.array(v.string()),
})
type Manifest = v.InferOutput<typeof Manifest>

const digest = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function readManifest(prefix: string): Manifest | undefined {
  const path = join(prefix, MANIFEST)
  if (!existsSync(path)) return undefined
  try {
    return v.parse(Manifest, JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    throw new CorruptBytesError(`${path} is not a manifest of ours: remove what install made by hand`, {
      cause,
    })
  }
}

/** Folders of `path` that do not exist yet, outermost first. */
function missingFolders(prefix: string, path: string): string[] {
  const folders: string[] = []
  for (
    let folder = dirname(path);
    folder !== '/' && !existsSync(join(prefix, folder));
    folder = dirname(folder)
  ) {
    folders.unshift(folder)
  }
  return folders
}

/** Files of `files` that are there already and are not ours. */
function foreign(prefix: string, files: readonly InstallFile[], old: Manifest | undefined): string[] {
  return files
    .filter(({ path }) => existsSync(join(prefix, path)))
    .filter(({ path }) => {
      const known = old?.files.find((file) => file.path === path)
      return known === undefined || known.sha256 !== digest(readFileSync(join(prefix, path)))
    })
    .map(({ path }) => path)
}

/**
 * Writes `files` below `prefix`; a second install replaces what the first one wrote. Answers the paths
 * written.
 * Errors: `UsageError` when a file is in the way; nothing was changed then.
 */
export function install(prefix: string, files: readonly InstallFile[]): string[] {
  const old = readManifest(prefix)
  const inTheWay = foreign(prefix, files, old)
  if (inTheWay.length > 0) {
    throw new UsageError(
      `${inTheWay.map((path) => join(prefix, path)).join(', ')} is not ours: move it away first`,
    )
  }
  const folders = [...files.map(({ path }) => path), MANIFEST].flatMap((path) => missingFolders(prefix, path))
  const manifest: Manifest = {
    format: 1,
    files: files.map(({ path, text }) => ({ path, sha256: digest(text) })),
    folders: [...new Set([...(old?.folders ?? []), ...folders])],
  }
  const manifestPath = join(prefix, MANIFEST)
  mkdirSync(dirname(manifestPath), { recursive: true })
  writeFileSync(manifestPath, `${JSON.stringify(manifest, undefined, 2)}\n`)
  return files.map(({ path, mode, text }) => {
    const target = join(prefix, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
    chmodSync(target, mode)
    return target
  })
}

export interface Uninstalled {
  readonly removed: readonly string[]
  /** Changed by somebody since: left where they are. */
  readonly kept: readonly string[]
}

function removeEmptyFolder(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // Somebody put something there, or it is gone already.
  }
}

/** Takes away what the manifest lists. Errors: `UsageError` when there is none. */
export function uninstall(prefix: string): Uninstalled {
  const manifest = readManifest(prefix)
  if (!manifest) throw new UsageError(`nothing of guestmemfs is installed below ${prefix}`)
  const there = manifest.files.filter(({ path }) => existsSync(join(prefix, path)))
  const isOurs = ({ path, sha256 }: { path: string; sha256: string }): boolean =>
    digest(readFileSync(join(prefix, path))) === sha256
  const removed = there.filter(isOurs).map(({ path }) => join(prefix, path))
  const kept = there.map(({ path }) => join(prefix, path)).filter((path) => !removed.includes(path))
  for (const path of removed) rmSync(path)
  rmSync(join(prefix, MANIFEST))
  for (const folder of [...manifest.folders].reverse()) removeEmptyFolder(join(prefix, folder))
  return { removed, kept }
}
