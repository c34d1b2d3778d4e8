/**
 * Names, attributes and contents of a mounted tree, read through the kernel, as plain values: equal for equal
 * trees.
 */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { lgetxattr, llistxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'

export interface Told {
  readonly ino: number
  readonly kind: 'directory' | 'file' | 'symlink'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly links: number
  readonly sizeBytes: number
  /** Nanoseconds since the epoch, decimal. */
  readonly mtime: string
  readonly ctime: string
  readonly target?: string
  /** Of files that read(2) takes: guest RAM can only be mapped. */
  readonly sha256?: string
  /** By name, base64. */
  readonly xattrs: Readonly<Record<string, string>>
}

/** By path below `root`, which is `.` itself. Names that are not UTF-8 are left out. */
export type TreeTold = Readonly<Record<string, Told>>

export function tellTree(root: string): TreeTold {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(isText).sort()
  return Object.fromEntries(['.', ...names].map((name) => [name, tell(join(root, name))]))
}

/** Bytes that are no UTF-8 are decoded as U+FFFD. */
export const isText = (name: string): boolean => !name.includes('\ufffd')

function tell(path: string): Told {
  const stat = lstatSync(path, { bigint: true })
  const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'file'
  const isRead = kind === 'file' && String(Buffer.from(value(path, 'guestmemfs.kind'))) === 'ordinary'
  return {
    ino: Number(stat.ino),
    kind,
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    links: Number(stat.nlink),
    sizeBytes: Number(stat.size),
    mtime: String(stat.mtimeNs),
    ctime: String(stat.ctimeNs),
    ...(kind === 'symlink' && { target: readlinkSync(path) }),
    ...(isRead && { sha256: createHash('sha256').update(readFileSync(path)).digest('hex') }),
    xattrs: xattrs(path),
  }
}

function xattrs(path: string): Record<string, string> {
  const names = llistxattr(path)
  if (names instanceof Errno) throw new Error(`listing the xattrs of ${path}: ${names}`)
  return Object.fromEntries(
    names.sort().map((name) => [name, Buffer.from(value(path, name)).toString('base64')]),
  )
}

function value(path: string, name: string): Uint8Array {
  const found = lgetxattr(path, name)
  if (found instanceof Errno) throw new Error(`${name} of ${path}: ${found}`)
  return found
}
