/**
 * Files that are written to a machine, and the removal of exactly those. An install lists them in a manifest
 * first, with what they replace, so that an install that was interrupted can be completed or removed. It
 * replaces each file by rename(2): a process that runs it finds the former one or the new one.
 *
 * Must not: overwrite a file that it did not make. One that it made and that was changed since stays as it
 * is, and it writes the new one beside it, as package managers do.
 */
import { existsSync, lstatSync, mkdirSync, readFileSync, realpathSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { CorruptBytesError, UsageError } from '../values/errors.ts'
import { type InstallFile, MARKS } from './install-files.ts'
import { sha256Of } from './versions/version-folder.ts'
import { writeDurably } from './write-durably.ts'

const MANIFEST = '/var/lib/guestmemfs/installed.json'
/** Suffix for the new version of a file that was changed since it was installed. */
export const BESIDE = '.guestmemfs-new'

const Manifest = v.object({
  format: v.literal(1),
  /**
   * Paths below the prefix, with the SHA-256 of what was written; several times where any of these contents
   * may be there.
   */
  files: v.array(v.object({ path: v.string(), sha256: v.string() })),
  /** Folders that were made for the files, outermost first. */
  folders: v.array(v.string()),
})
type Manifest = v.InferOutput<typeof Manifest>
type Entry = Manifest['files'][number]

export const isInstalled = (prefix: string): boolean => existsSync(join(prefix, MANIFEST))

/** Whether a former install wrote a file at `path`, below the prefix. */
export const isInstalledFile = (prefix: string, path: string): boolean =>
  readManifest(prefix)?.files.some((file) => file.path === path) ?? false

function readManifest(prefix: string): Manifest | undefined {
  const path = join(prefix, MANIFEST)
  if (!existsSync(path)) return undefined
  try {
    return v.parse(Manifest, JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    throw new CorruptBytesError(`${path} is no manifest of guestmemfs: remove what install made by hand`, {
      cause,
    })
  }
}

const writeManifest = (prefix: string, manifest: Manifest): void =>
  writeDurably(join(prefix, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`, 0o644)

/** Folders of `path` that do not exist yet, outermost first. */
export function missingFolders(prefix: string, path: string): string[] {
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

/**
 * 'ours': as some version of guestmemfs wrote it. 'edited': written by one, and changed since. 'linked': a
 * link of npm's to the package that it has installed, which npm replaces and removes itself.
 */
type Found = 'nothing' | 'ours' | 'edited' | 'linked' | 'foreign'

const isLinkOfNpm = (path: string): boolean =>
  lstatSync(path).isSymbolicLink() && realpathSync(path).includes('/node_modules/guestmemfs/')

function look(prefix: string, path: string, known: readonly Entry[], text?: string): Found {
  const target = join(prefix, path)
  if (!existsSync(target)) return 'nothing'
  if (isLinkOfNpm(target)) return 'linked'
  const bytes = readFileSync(target)
  const sha256 = sha256Of(bytes)
  const own = known.filter((entry) => entry.path === path)
  if ((text !== undefined && sha256Of(text) === sha256) || own.some((entry) => entry.sha256 === sha256))
    return 'ours'
  return own.length > 0 || MARKS.some((mark) => bytes.includes(mark)) ? 'edited' : 'foreign'
}

export interface Written {
  readonly written: readonly string[]
  /** Changed since a former install, and left as they are. `beside`: where the new one was written. */
  readonly edited: readonly { readonly path: string; readonly beside: string }[]
  /** Of a former version, and of no use to this one. */
  readonly removed: readonly string[]
  /** Links of npm's, left as they are. */
  readonly linked: readonly string[]
}

/**
 * Throws UsageError where the path of one of `files` has a file that guestmemfs did not write. Then the
 * caller may change nothing.
 */
export function checkNoForeignFile(prefix: string, files: readonly InstallFile[]): void {
  const known = readManifest(prefix)?.files ?? []
  const foreign = files.filter(({ path, text }) => look(prefix, path, known, text) === 'foreign')
  if (foreign.length === 0) return
  const paths = foreign.map(({ path }) => join(prefix, path)).join(', ')
  throw new UsageError(`guestmemfs did not write ${paths}: move it away first`)
}

/**
 * Writes `files` below `prefix`; a second install replaces what the first one wrote. `folders`: made for it
 * already. Errors: as `checkNoForeignFile`.
 */
export function install(
  prefix: string,
  files: readonly InstallFile[],
  folders: readonly string[] = [],
): Written {
  checkNoForeignFile(prefix, files)
  const old = readManifest(prefix)
  const known = old?.files ?? []
  const those = (is: Found): InstallFile[] =>
    files.filter(({ path, text }) => look(prefix, path, known, text) === is)
  const [edited, linked] = [those('edited'), those('linked')]
  const wanted = files
    .filter((file) => !linked.includes(file))
    .map((file) => (edited.includes(file) ? { ...file, path: file.path + BESIDE, mode: 0o644 } : file))
  const made = [...wanted.map(({ path }) => path), MANIFEST].flatMap((path) => missingFolders(prefix, path))
  const all = [...new Set([...(old?.folders ?? []), ...folders, ...made])]
  const now = wanted.map(({ path, text }) => ({ path, sha256: sha256Of(text) }))
  // An operator who moves the new one over the changed one has an installed file again.
  const theirs = edited.map(({ path, text }) => ({ path, sha256: sha256Of(text) }))
  writeManifest(prefix, { format: 1, files: [...known, ...now, ...theirs], folders: all })
  for (const { path, mode, text } of wanted) {
    mkdirSync(dirname(join(prefix, path)), { recursive: true })
    writeDurably(join(prefix, path), text, mode)
  }
  const current = [...now, ...theirs].map(({ path }) => path)
  const former = [...new Set(known.map(({ path }) => path))].filter((path) => !current.includes(path))
  const removed = former.filter((path) => look(prefix, path, known) === 'ours')
  for (const path of removed) rmSync(join(prefix, path))
  const stays = (path: string): boolean =>
    edited.some((file) => file.path === path) || look(prefix, path, known) === 'edited'
  const kept = known.filter(({ path }) => stays(path) && !now.some((entry) => entry.path === path))
  writeManifest(prefix, { format: 1, files: unique([...now, ...theirs, ...kept]), folders: all })
  return {
    written: wanted.map(({ path }) => join(prefix, path)),
    edited: edited.map(({ path }) => ({ path: join(prefix, path), beside: join(prefix, path + BESIDE) })),
    removed: removed.map((path) => join(prefix, path)),
    linked: linked.map(({ path }) => join(prefix, path)),
  }
}

const unique = (entries: readonly Entry[]): Entry[] =>
  entries.filter(
    (entry, index) =>
      entries.findIndex(({ path, sha256 }) => path === entry.path && sha256 === entry.sha256) === index,
  )

export interface Uninstalled {
  readonly removed: readonly string[]
  /** Changed since: left where they are. */
  readonly kept: readonly string[]
}

/** Files that were installed and changed since, below `prefix`. */
export function editedFiles(prefix: string): string[] {
  const known = readManifest(prefix)?.files ?? []
  const paths = [...new Set(known.map(({ path }) => path))]
  return paths.filter((path) => look(prefix, path, known) === 'edited')
}

function removeEmptyFolder(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // It is not empty, or is gone already.
  }
}

/**
 * Removes what the manifest lists: its files, and its folders where nothing is left in them after
 * `meanwhile`. Errors: `UsageError` when there is none.
 */
export function uninstall(prefix: string, meanwhile: () => void = () => {}): Uninstalled {
  const manifest = readManifest(prefix)
  if (!manifest) throw new UsageError(`nothing of guestmemfs is installed below ${prefix}`)
  const paths = [...new Set(manifest.files.map(({ path }) => path))]
  const found = paths.map((path) => ({ path: join(prefix, path), is: look(prefix, path, manifest.files) }))
  const removed = found.flatMap(({ path, is }) => (is === 'ours' ? path : []))
  const kept = found.flatMap(({ path, is }) => (is === 'edited' ? path : []))
  for (const path of removed) rmSync(path)
  rmSync(join(prefix, MANIFEST))
  meanwhile()
  for (const folder of [...manifest.folders].reverse()) removeEmptyFolder(join(prefix, folder))
  return { removed, kept }
}
