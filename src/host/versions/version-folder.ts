/**
 * Installed versions of the program: each in a folder of its own below LIBRARY, named by its version and by
 * what its files are, and never written to once it is there. `version.json` in it lists which files it must
 * have, and which formats it reads. `current` leads to the one that commands, units and the next boot run,
 * `previous` to the former one.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { errnoOfNodeError } from '../../linux/library.ts'
import { errorText } from '../../values/errors.ts'

/** Below the prefix. */
export const LIBRARY = '/usr/local/lib/guestmemfs'
/** The same of the Debian package, whose scripts fill it: dpkg would take a file away under a process. */
export const PACKAGE_LIBRARY = '/usr/lib/guestmemfs/versions'
/** The program as dpkg unpacks it. No process of a pool runs from there: it is copied to the other one. */
export const PACKAGE_PROGRAM = '/usr/lib/guestmemfs/package'
/** dpkg has unpacked the package below `prefix`. */
export const isPackaged = (prefix: string): boolean => existsSync(join(prefix, PACKAGE_PROGRAM))
export const CURRENT = 'current'
export const PREVIOUS = 'previous'
/** In each folder: the script that starts this version, wherever `current` leads meanwhile. */
export const LAUNCHER = 'guestmemfs'
export const MANIFEST_NAME = 'version.json'

const Range = v.object({ oldest: v.number(), newest: v.number() })

const VersionSchema = v.object({
  format: v.literal(1),
  version: v.string(),
  /** Of all files: SHA-256 of their paths and digests. */
  build: v.string(),
  /** By the kind of data (`image`, `manifest`, …), the formats of it that this version reads. */
  reads: v.record(v.string(), Range),
  /** All but this one. */
  files: v.array(v.object({ path: v.string(), sha256: v.string() })),
})
export type VersionManifest = v.InferOutput<typeof VersionSchema>
export type Reads = VersionManifest['reads']

export const sha256Of = (bytes: string | Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

export const buildOf = (files: VersionManifest['files']): string =>
  sha256Of(files.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join(''))

/** Enough of the build to tell versions apart; the whole of it is in the manifest. */
const BUILD_DIGITS = 12
export const folderName = ({ version, build }: Pick<VersionManifest, 'version' | 'build'>): string =>
  `${version}-${build.slice(0, BUILD_DIGITS)}`

/** The manifest of `folder`. undefined: it has none that this version can read. */
export function readVersion(folder: string): VersionManifest | undefined {
  try {
    const text = readFileSync(join(folder, MANIFEST_NAME), 'utf8')
    const parsed = v.safeParse(VersionSchema, JSON.parse(text))
    return parsed.success ? parsed.output : undefined
  } catch {
    return undefined
  }
}

/** Reads every file. undefined: `folder` has all of its version, unchanged; else what it lacks. */
export function lacksOf(folder: string): string | undefined {
  const manifest = readVersion(folder)
  if (manifest === undefined) return `${MANIFEST_NAME} is missing or none of this version's kind`
  if (buildOf(manifest.files) !== manifest.build) return `${MANIFEST_NAME} is not what was installed`
  for (const { path, sha256 } of manifest.files)
    try {
      if (sha256Of(readFileSync(join(folder, path))) !== sha256) return `${path} is not what was installed`
    } catch (error) {
      return `${path}: ${errorText(errnoOfNodeError(error).name)}`
    }
  return undefined
}

export function versionNames(library: string): string[] {
  try {
    return readdirSync(library, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort()
  } catch {
    return []
  }
}

/** The folder's name that a link leads to. undefined: there is no such link. */
export function linkedName(library: string, link: typeof CURRENT | typeof PREVIOUS): string | undefined {
  try {
    return readlinkSync(join(library, link))
  } catch {
    return undefined
  }
}
