/**
 * A guest's RAM file as `run` finds or makes it, before QEMU opens it. Where QEMU maps guest RAM through a
 * device, the server shows the file's name as a symlink to that device as soon as the file has a size, so it
 * must have one before QEMU opens it: QEMU could make an empty file and size it, but then it could not map
 * what it has open.
 */
import { closeSync, constants, ftruncateSync, lstatSync } from 'node:fs'
import { dirname } from 'node:path'
import { getSystemErrorMessage } from 'node:util'
import * as v from 'valibot'
import {
  type Base,
  openBeneath,
  pathProblem,
  removePlace,
  statBeneath,
  withMount,
  withPlace,
} from '../linux/beneath.ts'
import { asUser, type Credentials } from '../linux/credentials.ts'
import type { DeviceNumber } from '../linux/device-node.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { lgetxattr } from '../linux/xattr.ts'
import { EACCES, EEXIST, ELOOP, ENOENT, ENOTDIR, Errno, EXDEV } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { MAP_KINDS, type MappedBy, mappedBy } from '../values/mapping.ts'
import { formatSize } from '../values/size.ts'
import { MAP_XATTR } from '../values/xattr-names.ts'
import type { RamFile } from './memory-backends.ts'

/** The user that QEMU runs as. */
export interface RamUser extends Credentials {
  readonly name: string
}

/** Only its user can open guest RAM. */
const PRIVATE = 0o600

/** The value of `guestmemfs.map`, which a file and a symlink of a mount have. */
const MapSchema = v.object({
  kind: v.picklist(Object.values(MAP_KINDS)),
  sizeBytes: v.number(),
  alignBytes: v.number(),
  path: v.optional(v.string()),
  offsetBytes: v.optional(v.number()),
  /** Of the device that stands for the file; left out where there is none. */
  major: v.optional(v.number()),
  minor: v.optional(v.number()),
  nodes: v.optional(v.array(v.number())),
})

const WindowSchema = v.object({ path: v.string(), offsetBytes: v.number() })

/** How QEMU maps the file: by its own name, but for a window of /dev/mem. */
export type RamMap = {
  readonly sizeBytes: number
  readonly alignBytes: number
  /** Memory nodes that it lies in; left out where the server does not know them. */
  readonly nodes?: readonly number[]
} & (
  | { readonly by: Exclude<MappedBy, 'devmem'> }
  | { readonly by: 'devmem'; readonly path: string; readonly offsetBytes: number }
)

/**
 * Undefined: there is no such file. Errors (UsageError): it is neither a file nor guest RAM behind a symlink,
 * or its memory was lost between two kernels, or its path leaves the mount. `base` is for tests.
 */
export function ramFileBytes(path: string, base?: Base): number | undefined {
  const found = withPlace(
    path,
    (place) => ({
      stat: lstatSync(place.path, { throwIfNoEntry: false }),
      map: lgetxattr(place.path, MAP_XATTR),
    }),
    base,
  )
  if (found === ENOENT) return undefined
  if (found instanceof Errno) throw new UsageError(`${path} is not reached: ${pathProblem(found)}`)
  const { stat, map } = found
  if (stat === undefined) return undefined
  if (!stat.isFile() && !stat.isSymbolicLink()) throw new UsageError(`${path} is not a file`)
  // In another file system a regular file has its own size, and a symlink is refused.
  if (map instanceof Errno && stat.isFile()) return stat.size
  const { by, sizeBytes } = ramMapOf(path, map)
  if (by === 'lost')
    throw new UsageError(
      `${path} was lost between two kernels: delete it, or truncate it to 0 for a new guest`,
    )
  return sizeBytes
}

/**
 * As the server answers it: in another file system the file's owner could name another guest's memory. Errors
 * (UsageError): there is no such file in a mount of ours.
 */
export function readRamMap(path: string): RamMap {
  return ramMapOf(
    path,
    withPlace(path, (place) => lgetxattr(place.path, MAP_XATTR)),
  )
}

/**
 * The device that QEMU maps in the file's place, and a node of it; undefined: the file is mapped by its own
 * name, or no device was made for it yet. Errors: as of `readRamMap`.
 */
export function readRamDevice(path: string): { number: DeviceNumber; node: string } | undefined {
  const text = mapText(
    path,
    withPlace(path, (place) => lgetxattr(place.path, MAP_XATTR)),
  )
  const { kind, path: node, major, minor } = v.parse(MapSchema, JSON.parse(text))
  if (mappedBy(kind) !== 'dax-node' || node === undefined || major === undefined || minor === undefined)
    return undefined
  return { number: `${major}:${minor}`, node }
}

const ramMapOf = (path: string, map: Uint8Array | Errno): RamMap => parseRamMap(mapText(path, map))

function mapText(path: string, map: Uint8Array | Errno): string {
  if (map instanceof Errno) throw new UsageError(`${path} is not a file of a guestmemfs mount (${map})`)
  return Buffer.from(map).toString('utf8')
}

/** `text`: JSON of `guestmemfs.map`. */
export function parseRamMap(text: string): RamMap {
  const map = v.parse(MapSchema, JSON.parse(text))
  const { kind, sizeBytes, alignBytes, nodes } = map
  const by = mappedBy(kind)
  const known = { sizeBytes, alignBytes, ...(nodes && { nodes }) }
  if (by !== 'devmem') return { by, ...known }
  const { path, offsetBytes } = v.parse(WindowSchema, map)
  return { by, path, offsetBytes, ...known }
}

/**
 * Makes the file as its user, with that user's permissions and for that user alone; the mode of an existing
 * file stays. Returns whether it was made. Errors (UsageError): too small, no room, no permission. `base` is
 * for tests.
 */
export function prepareRamFile({ id, path, sizeBytes }: RamFile, user: RamUser, base?: Base): boolean {
  const bytes = ramFileBytes(path, base) ?? 0
  if (bytes >= sizeBytes) {
    checkOpens(path, user, base)
    return false
  }
  if (bytes > 0) {
    throw new UsageError(
      `memory backend '${id}': ${path} has ${formatSize(bytes)}, its size=${formatSize(sizeBytes)} is more: make both the same`,
    )
  }
  const make = (root: Fd, way: string) => asUser(user, () => makeSized(root, way, sizeBytes))
  const made = withMount(path, make, base)
  const { failed, isNew } = made instanceof Errno ? { failed: made, isNew: false } : made
  if (failed === undefined) return isNew
  if (isNew) withPlace(path, removePlace, base)
  const isOnWay = failed === ELOOP || failed === ENOTDIR || failed === EXDEV
  const reason = isOnWay ? pathProblem(failed) : getSystemErrorMessage(-failed.code)
  const advice = failed === EACCES ? ` to ${user.name}, as whom QEMU runs: ${adviceFor(path, user)}` : ''
  throw new UsageError(`RAM file ${path} could not be made: ${reason}${advice}`)
}

/** The file's inode, which it keeps under another name. undefined: there is none. `base` is for tests. */
export const inodeOf = (path: string, base?: Base): number | undefined => statBeneath(path, base)?.ino

/**
 * Removes what `prepareRamFile` made, while no QEMU has used it; nothing where the name is another file's.
 */
export function removeRamFile(path: string, inode: number | undefined, base?: Base): void {
  if (inode !== undefined && inodeOf(path, base) === inode) withPlace(path, removePlace, base)
}

/** Refuses a file that QEMU's user cannot open. A symlink to a device is not followed. */
function checkOpens(path: string, user: RamUser, base?: Base): void {
  const open = (root: Fd, way: string) => asUser(user, () => openBeneath(root, way, constants.O_RDWR))
  const opened = withMount(path, open, base)
  if (!(opened instanceof Errno)) closeSync(opened)
  if (opened !== EACCES) return
  throw new UsageError(
    `RAM file ${path} cannot be opened by ${user.name}, as whom QEMU runs: 'chown ${user.name} ${path}', or --user root`,
  )
}

const adviceFor = (path: string, { name }: RamUser): string =>
  `'chown ${name} ${dirname(path)}', or --user root`

/** Called with the credentials of the file's user; no other program is run for it. */
function makeSized(
  root: Fd,
  way: string,
  sizeBytes: number,
): { readonly failed: Errno | undefined; readonly isNew: boolean } {
  const { O_CREAT, O_EXCL, O_WRONLY } = constants
  let fd = openBeneath(root, way, O_WRONLY | O_CREAT | O_EXCL, PRIVATE)
  const isNew = fd !== EEXIST
  if (!isNew) fd = openBeneath(root, way, O_WRONLY)
  if (fd instanceof Errno) return { failed: fd, isNew: false }
  try {
    ftruncateSync(fd, sizeBytes)
    return { failed: undefined, isNew }
  } catch (error) {
    return { failed: errnoOfNodeError(error), isNew }
  } finally {
    closeSync(fd)
  }
}
