/**
 * The `guestmemfs.*` xattrs as they are read. The server computes a value at each read, and neither stores
 * nor lists it. Those of the root describe the pool, those of a file the file; the server may add some to the
 * root.
 *
 * A list longer than an xattr may be (64 KiB) comes in pages: `guestmemfs.NAME` or `guestmemfs.NAME.0` is the
 * first, `.1` the next, and the first page that is not there answers ENODATA. Each page is whole JSON of its
 * own. A list that changes while it is read page by page may repeat or miss what changed.
 *
 * The kernel asks for read permission on the inode first (`xattr_permission`, fs/xattr.c): a file's own
 * xattrs are for those who may read the file. Values of the root that name files, whatever directories they
 * lie in, are for uid 0 alone (`isForRootAlone`); the server enforces that. Those that every user may read
 * cost the same in a pool of any number of files.
 */
import { ENODATA, ERANGE, type Errno } from '../../values/errno.ts'
import { type ByteString, type Ino, ROOT_INO } from '../../values/ids.ts'
import { VIRTUAL_PREFIX } from '../../values/xattr-names.ts'
import { describeHandover } from '../handover-steps.ts'
import type { Inode } from '../state/inode.ts'
import { XATTR_SIZE_MAX } from '../state/limits.ts'
import type { Volume } from '../state/volume.ts'
import { jsonPage } from './json-pages.ts'
import { describeBad } from './report-bad.ts'
import { describeExtents, describeMap } from './report-file.ts'
import {
  describeFormat,
  describeGeometry,
  describeHealth,
  describeOrphans,
  describePool,
  describeRam,
  describeSize,
  describeVms,
} from './report-pool.ts'

/** A value is text, or becomes JSON; undefined: there is none here. A list is paged. */
type Report = (volume: Volume, inode: Inode) => unknown

const ROOT_VALUES: Readonly<Record<string, Report>> = {
  pool: describePool,
  geometry: describeGeometry,
  health: describeHealth,
  size: describeSize,
  format: describeFormat,
  handover: describeHandover,
}
const ROOT_LISTS: Readonly<Record<string, (volume: Volume) => Iterable<unknown>>> = {
  bad: describeBad,
  orphans: describeOrphans,
  ram: describeRam,
  vms: describeVms,
}
const FILE_VALUES: Readonly<Record<string, Report>> = {
  map: describeMap,
  kind: (_, inode) => (inode.guestRam ? 'guest-ram' : 'ordinary'),
}

/** Of a file: its extents, in pages. */
const EXTENTS = 'extents'

/** What follows the prefix in the names, without those that the server adds to the root. */
export const VIRTUAL_NAMES = {
  root: [...Object.keys(ROOT_VALUES), ...Object.keys(ROOT_LISTS)],
  file: [...Object.keys(FILE_VALUES), EXTENTS],
} as const

/** They name files, or look at all of them. */
const FOR_ROOT_ALONE: ReadonlySet<string> = new Set([...Object.keys(ROOT_LISTS), 'handover'])
const PAGED = /^([a-z]+)(?:\.(0|[1-9]\d{0,8}))?$/

/** Whether only uid 0, which may enter every directory, may read it. `name` begins with `guestmemfs.`. */
export function isForRootAlone(ino: Ino, name: ByteString): boolean {
  const [, key = ''] = PAGED.exec(name.slice(VIRTUAL_PREFIX.length)) ?? []
  return ino === ROOT_INO && FOR_ROOT_ALONE.has(key)
}

export class VirtualXattrs {
  readonly #volume: Volume
  readonly #added = new Map<string, () => string | Uint8Array>()

  constructor(volume: Volume) {
    this.#volume = volume
  }

  /**
   * Adds `guestmemfs.NAME` to the root: a read calls `value`, which returns at most 64 KiB, or the reader
   * gets ERANGE.
   */
  add(name: string, value: () => string | Uint8Array): void {
    this.#added.set(name, value)
  }

  /** Errors: ENODATA, ERANGE. */
  get(inode: Inode, name: ByteString): Uint8Array | Errno {
    const key = name.slice(VIRTUAL_PREFIX.length)
    const isRoot = inode.ino === ROOT_INO
    const added = isRoot ? this.#added.get(key) : undefined
    if (added) return bounded(added())
    if (!isRoot && inode.kind !== 'file') return ENODATA

    const value = own(isRoot ? ROOT_VALUES : FILE_VALUES, key)
    if (value) {
      const answer = value(this.#volume, inode)
      return answer === undefined ? ENODATA : bounded(asText(answer))
    }
    const [, listName, digits] = PAGED.exec(key) ?? []
    const page = Number(digits ?? 0)
    if (listName === undefined) return ENODATA
    if (!isRoot) return listName === EXTENTS ? this.#extents(inode, page) : ENODATA
    const list = own(ROOT_LISTS, listName)
    return list ? (jsonPage(list(this.#volume), page) ?? ENODATA) : ENODATA
  }

  #extents(inode: Inode, page: number): Uint8Array | Errno {
    const extents = describeExtents(inode, page)
    return extents ? Buffer.from(JSON.stringify(extents)) : ENODATA
  }
}

function bounded(value: string | Uint8Array): Uint8Array | Errno {
  const bytes = Buffer.from(value)
  return bytes.length <= XATTR_SIZE_MAX ? bytes : ERANGE
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** A key from a caller, looked up among the table's own keys. */
const own = <V>(table: Readonly<Record<string, V>>, key: string): V | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined
