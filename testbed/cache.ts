/**
 * Owns what the testbed keeps between runs, and that it is whole: a thing is built beside its place and renamed into
 * it, so whoever finds it finds all of it. Kept outside the repository (XDG cache). Knows nothing of what is kept.
 */
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

export const cacheRoot = join(
  process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
  'guestmemfs',
  'testbed',
)

const UNUSED_DAYS = 14

/** The folder `cacheRoot/name`, made when it is missing. */
export function cacheFolder(name: string): string {
  const folder = join(cacheRoot, name)
  mkdirSync(folder, { recursive: true })
  return folder
}

/**
 * The path `cacheRoot/name`, built by `build` if it is not there. `build` gets an empty folder and answers which
 * path in it (or the folder itself) is the thing. Two builders at once are harmless: the later one's is dropped.
 */
export async function cached(name: string, build: (folder: string) => Promise<string>): Promise<string> {
  const place = join(cacheRoot, name)
  if (existsSync(place)) {
    utimesSync(place, new Date(), new Date()) // in use, for `dropUnused`
    return place
  }
  mkdirSync(dirname(place), { recursive: true })
  const folder = mkdtempSync(`${place}.building-`)
  try {
    const built = await build(folder)
    try {
      renameSync(built, place)
    } catch (error) {
      if (!existsSync(place)) throw error
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return place
}

/** Removes what nobody has asked for in two weeks: earlier versions of images, kernels and packages, logs of old runs. */
export function dropUnused(kinds: readonly string[], nowMs = Date.now()): void {
  for (const kind of kinds)
    for (const name of readdirSync(cacheFolder(kind))) {
      const place = join(cacheRoot, kind, name)
      // The change time: downloaded packages keep the modification time they have on the mirror.
      if (nowMs - statSync(place).ctimeMs > UNUSED_DAYS * 24 * 3600 * 1000)
        rmSync(place, { recursive: true, force: true })
    }
}

/** A short name for content: the same parts, the same name. */
export function contentKey(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length}:`).update(part)
  return hash.digest('hex').slice(0, 16)
}
