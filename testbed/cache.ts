/**
 * The cache of the testbed, outside the repository (XDG cache). An entry is built beside its place and
 * renamed into it, so a reader finds it complete or not at all. Must not: read an entry.
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
import { ensureRoom } from './space.ts'

export const cacheRoot = join(
  process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
  'guestmemfs',
  'testbed',
)

const UNUSED_DAYS = 14
/** Between the name of a thing and the pid of the process that builds it. */
const BUILDING = '.building-'
/** A run's folder has the pid of its process in its name until `keepRunFolder` renames it. */
const RUNNING = '.running-'

/** A folder for one run, which `dropUnused` removes when its process was killed. */
export const makeRunFolder = (name: string): string =>
  mkdtempSync(join(cacheFolder('runs'), `${name}${RUNNING}${process.pid}-`))

/** From now on the folder is kept, under a name without a pid: the new path. */
export function keepRunFolder(folder: string): string {
  const kept = folder.replace(new RegExp(`\\${RUNNING}\\d+`), '')
  renameSync(folder, kept)
  return kept
}

/** The folder `cacheRoot/name`, made when it is missing. */
export function cacheFolder(name: string): string {
  const folder = join(cacheRoot, name)
  mkdirSync(folder, { recursive: true })
  return folder
}

/**
 * The path `cacheRoot/name`, built by `build` if it is not there. `build` gets an empty folder and returns
 * the path of the entry in it (or the folder itself). Where two processes build it at once, the later one
 * removes its own. `room`: what must be free on the disk before the build.
 */
export async function cached(
  name: string,
  build: (folder: string) => Promise<string>,
  room?: { readonly needsBytes: number; readonly what: string },
): Promise<string> {
  const place = join(cacheRoot, name)
  if (existsSync(place)) {
    utimesSync(place, new Date(), new Date()) // in use, for `dropUnused`
    return place
  }
  mkdirSync(dirname(place), { recursive: true })
  if (room !== undefined) ensureRoom(dirname(place), room.needsBytes, room.what)
  const folder = mkdtempSync(`${place}${BUILDING}${process.pid}-`)
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

/**
 * Removes entries that no run has used for two weeks: earlier versions of images, kernels and packages, logs
 * of old runs.
 */
export function dropUnused(kinds: readonly string[], nowMs = Date.now()): void {
  for (const kind of kinds)
    for (const name of readdirSync(cacheFolder(kind))) {
      const place = join(cacheRoot, kind, name)
      const status = statSync(place, { throwIfNoEntry: false })
      if (status === undefined) continue // another testbed has removed it
      const [, maker] = /\.(?:building|running)-(\d+)-/.exec(name) ?? []
      if (maker !== undefined) {
        // Its builder was killed: it is incomplete for good.
        if (existsSync(`/proc/${maker}`)) continue
        rmSync(place, { recursive: true, force: true })
      }
      // The change time: downloaded packages keep the modification time they have on the mirror.
      if (nowMs - status.ctimeMs > UNUSED_DAYS * 24 * 3600 * 1000)
        rmSync(place, { recursive: true, force: true })
    }
}

/** A short name for content: the same parts, the same name. */
export function contentKey(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length}:`).update(part)
  return hash.digest('hex').slice(0, 16)
}
