/**
 * Fills a pool to be kept: one of each kind of entry that an image has of files, and more than one log holds.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { lsetxattr } from '../../src/linux/xattr.ts'

const MIB = 2 ** 20
/** Enough, with the values below, to exceed a log before the next checkpoint (SHORTEST_LOG_BYTES). */
const LARGE_VALUES = 6
const LARGE_VALUE_BYTES = 60_000

function set(path: string, name: string, value: Uint8Array | string): void {
  const failed = lsetxattr(path, name, Buffer.from(value))
  if (failed !== undefined) throw new Error(`${name} of ${path}: ${failed}`)
}

/** Returns a function that ends the orphans: a file, and guest RAM, that have no name and are open here. */
export function populate(root: string): () => void {
  const path = (...names: string[]): string => join(root, ...names)
  fs.mkdirSync(path('folder', 'inner', 'empty'), { recursive: true })
  fs.writeFileSync(path('text'), 'kept\n')
  fs.writeFileSync(path('folder', 'three blocks'), Buffer.alloc(5 * MIB, 'kept'))
  fs.writeFileSync(path('folder', 'nothing'), '')
  fs.writeFileSync(path('folder', 'grüße 😀'), 'a name in UTF-8')
  fs.writeFileSync(Buffer.from(`${path('folder')}/not \xff utf-8`, 'latin1'), 'a name that is not')
  fs.writeFileSync(path('folder', 'n'.repeat(255)), 'the longest name')
  fs.linkSync(path('text'), path('folder', 'inner', 'again'))
  fs.symlinkSync('../text', path('folder', 'link'))
  fs.symlinkSync('/'.padEnd(4095, 'nowhere'), path('folder', 'longest link'))
  fs.writeFileSync(path('replaced'), 'by rename')
  fs.renameSync(path('replaced'), path('folder', 'renamed'))
  fs.writeFileSync(path('gone'), 'and its blocks are free')
  fs.rmSync(path('gone'))

  fs.chmodSync(path('text'), 0o4751)
  fs.chmodSync(path('folder'), 0o1777)
  fs.chownSync(path('folder', 'inner'), 1234, 4_000_000_000)
  fs.lchownSync(path('folder', 'link'), 42, 43)
  fs.utimesSync(path('folder', 'three blocks'), 981_173_106.789, -86_400)

  set(path('text'), 'user.note', 'blue')
  set(path('text'), 'user.empty', '')
  set(path('folder'), 'trusted.bytes', Buffer.from([0, 255, 0]))
  set(path('folder', 'longest link'), 'trusted.of a link', 'kept')
  for (let each = 0; each < LARGE_VALUES; each++)
    set(path('folder', 'nothing'), 'user.large', Buffer.alloc(LARGE_VALUE_BYTES, each))
  set(path('folder', 'nothing'), 'user.large', 'small in the end')

  for (const [name, mebibytes] of [
    ['ram', 8],
    ['folder/odd ram', 3],
  ] as const) {
    fs.writeFileSync(path(name), '')
    fs.truncateSync(path(name), mebibytes * MIB)
  }
  return withoutNames(path)
}

function withoutNames(path: (...names: string[]) => string): () => void {
  const fds = ['nameless', 'nameless ram'].map((name) => fs.openSync(path(name), 'wx+'))
  fs.writeSync(fds[0] as number, 'an orphan')
  fs.ftruncateSync(fds[1] as number, 4 * MIB)
  for (const name of ['nameless', 'nameless ram']) fs.rmSync(path(name))
  return () => {
    for (const fd of fds) fs.closeSync(fd)
  }
}
