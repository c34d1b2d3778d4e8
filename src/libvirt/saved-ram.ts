/**
 * Names of a domain's RAM and state in a pool: those in libvirt's folder, which it deletes when the domain
 * stops, and the second ones, hard links that only root reaches. The folder of libvirt belongs to the user of
 * all its QEMUs, so each name is reached from a descriptor of the mount. Must not: touch what is in a file.
 */
import { closeSync, constants, linkSync, lstatSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Base, openBeneath, pathProblem, removePlace, withPlace } from '../linux/beneath.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { ramFileBytes } from '../qemu/ram-file.ts'
import { EEXIST, ENOENT, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { DOMAIN_STATE, SAVED_RAM } from '../values/libvirt-paths.ts'

/** A file of a domain's RAM, which has this name in each of its folders. A plain value. */
export interface DomainRam {
  readonly name: string
  readonly inode: number
  readonly sizeBytes: number
}

/** Root's folder of the second names of one domain. */
export const savedFolder = (mountPoint: string, uuid: string): string => join(mountPoint, SAVED_RAM, uuid)

/**
 * All RAM in libvirt's folder of a domain that runs. Errors: UsageError, also where there is none. `base`,
 * here and below, is for tests.
 */
export function ramIn(folder: string, base?: Base): DomainRam[] {
  const ram = namesIn(folder, base).flatMap((name) => {
    if (name === DOMAIN_STATE) return []
    const path = join(folder, name)
    const sizeBytes = ramFileBytes(path, base)
    const inode = inodeAt(path, base)
    return sizeBytes === undefined || inode === undefined ? [] : [{ name, inode, sizeBytes }]
  })
  if (ram.length === 0) throw new UsageError(`${folder} has no RAM`)
  return ram
}

/** undefined: there is no such name. A symlink to a device is not followed. */
export function inodeAt(path: string, base?: Base): number | undefined {
  const found = withPlace(path, (place) => lstatSync(place.path, { throwIfNoEntry: false })?.ino, base)
  return found instanceof Errno ? undefined : found
}

/**
 * Whether `folder` has all RAM of a domain, the very files. Its path alone says nothing: libvirt names a
 * folder by 20 characters of a name and an id, and begins again with ids at each boot, and behind the highest
 * one that runs at each start of its daemon.
 */
export const hasRam = (folder: string, ram: readonly DomainRam[], base?: Base): boolean =>
  ram.length > 0 && ram.every(({ name, inode }) => inodeAt(join(folder, name), base) === inode)

/**
 * Gives the files `names` of `from` second names in `to`, the folder of `savedFolder`, which is made. Errors
 * (UsageError): one of them is not there, there is no room.
 */
export function linkInto(to: string, from: string, names: readonly string[], base?: Base): void {
  for (const folder of [dirname(to), to]) orThrow(folder, makeRootsFolder(folder, base))
  for (const name of names) orThrow(join(to, name), linkOne(join(from, name), join(to, name), base))
}

/** Of a former update, it may be there already. */
const makeRootsFolder = (path: string, base?: Base): Errno | undefined =>
  withPlace(
    path,
    (place) => {
      const failed = errnoOf(() => mkdirSync(place.path, { mode: 0o700 }))
      if (failed !== EEXIST) return failed
      const stat = lstatSync(place.path)
      return stat.isDirectory() && stat.uid === process.getuid?.() ? undefined : EEXIST
    },
    base,
  )

const linkOne = (from: string, to: string, base?: Base): Errno | undefined =>
  withPlace(
    from,
    (source) =>
      withPlace(
        to,
        (target) => {
          removePlace(target)
          // link(2) follows no symlink at the end of either path.
          return errnoOf(() => linkSync(source.path, target.path))
        },
        base,
      ),
    base,
  )

/** Removes a folder with the files in it. Returns why it is still there; undefined: it is not. */
export function removeFolder(path: string, base?: Base): Errno | undefined {
  const removed = withPlace(
    path,
    ({ directory, name, path: at }) => {
      const fd = openBeneath(directory, name, constants.O_RDONLY | constants.O_DIRECTORY)
      if (fd instanceof Errno) return fd
      try {
        for (const file of readdirSync(`/proc/self/fd/${fd}`))
          removePlace({ directory: fd, name: file, path: file })
      } finally {
        closeSync(fd)
      }
      return errnoOf(() => rmdirSync(at))
    },
    base,
  )
  return removed === ENOENT ? undefined : removed
}

/** Empty where there is no such folder. Errors: UsageError. */
export function namesIn(folder: string, base?: Base): string[] {
  const names = withPlace(join(folder, 'any'), ({ path }) => readdirSync(dirname(path)).sort(), base)
  if (names === ENOENT) return []
  if (names instanceof Errno) throw new UsageError(`${folder} is not reached: ${pathProblem(names)}`)
  return names
}

function errnoOf(call: () => unknown): Errno | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

function orThrow(path: string, failed: Errno | undefined): void {
  if (failed !== undefined)
    throw new UsageError(`${basename(path)} could not be made in ${dirname(path)}: ${pathProblem(failed)}`)
}
