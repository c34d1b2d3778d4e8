/**
 * The operations at whose system calls a server is killed, one at least for each opcode that has a caller
 * (operations.test.ts says which): each prepares a folder, then does one operation on it. `describe` returns
 * the result: names, attributes and bytes, without times.
 *
 * As a program, `operations.ts NAME FOLDER`, it does the operation.
 */

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { seek } from '../../src/linux/memory.ts'
import { getxattr, listxattr, removexattr, setxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import type { Fd } from '../../src/values/ids.ts'
import { allocate, FALLOC_FL, makeNode, RENAME, renameFlags, S_IF } from '../../test/mount/system-calls.ts'

interface Operation {
  /**
   * Before the server is killed; the folder has `file` with some text and the empty folder `folder` already.
   */
  readonly prepare?: (path: (name: string) => string) => void
  readonly run: (path: (name: string) => string) => void
}

const XATTR = 'user.mark'
const RAM_BYTES = 4 * 2 ** 20
const TEXT = 'text of a file'
const SEEK_HOLE = 4

function must(errno: Errno | undefined): void {
  if (errno !== undefined) throw new Error(String(errno))
}

function withFile(path: string, flags: string, work: (fd: number) => void): void {
  const fd = fs.openSync(path, flags)
  try {
    work(fd)
  } finally {
    fs.closeSync(fd)
  }
}

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  create: { run: (path) => withFile(path('new'), 'wx', () => {}) },
  mkdir: { run: (path) => fs.mkdirSync(path('new')) },
  symlink: { run: (path) => fs.symlinkSync('nowhere', path('new')) },
  link: { run: (path) => fs.linkSync(path('file'), path('new')) },
  unlink: { run: (path) => fs.unlinkSync(path('file')) },
  'unlink of RAM': {
    prepare: (path) => fs.writeFileSync(path('ram'), ''),
    run: (path) => {
      fs.truncateSync(path('ram'), RAM_BYTES)
      fs.unlinkSync(path('ram'))
    },
  },
  mknod: { run: (path) => must(makeNode(path('new'), S_IF.fifo)) },
  rmdir: { run: (path) => fs.rmdirSync(path('folder')) },
  rename: { run: (path) => fs.renameSync(path('file'), path('folder/moved')) },
  'rename over': {
    prepare: (path) => fs.writeFileSync(path('target'), 'is replaced'),
    run: (path) => fs.renameSync(path('file'), path('target')),
  },
  exchange: { run: (path) => must(renameFlags(path('file'), path('folder'), RENAME.exchange)) },
  'rename to a new name': {
    run: (path) => must(renameFlags(path('file'), path('new'), RENAME.noreplace)),
  },
  chmod: { run: (path) => fs.chmodSync(path('file'), 0o751) },
  chown: { run: (path) => fs.chownSync(path('file'), 1234, 5678) },
  utimes: { run: (path) => fs.utimesSync(path('file'), 1, 2) },
  setxattr: { run: (path) => must(setxattr(path('file'), XATTR, Buffer.from('value'))) },
  removexattr: {
    prepare: (path) => must(setxattr(path('file'), XATTR, Buffer.from('value'))),
    run: (path) => must(removexattr(path('file'), XATTR)),
  },
  write: { run: (path) => withFile(path('file'), 'r+', (fd) => void fs.writeSync(fd, 'written', 3)) },
  append: { run: (path) => fs.appendFileSync(path('file'), 'and more') },
  'truncate to less': { run: (path) => fs.truncateSync(path('file'), 2) },
  'truncate to nothing': { run: (path) => fs.truncateSync(path('file'), 0) },
  'truncate to RAM': {
    prepare: (path) => fs.writeFileSync(path('ram'), ''),
    run: (path) => fs.truncateSync(path('ram'), RAM_BYTES),
  },
  'RAM grows': {
    prepare: (path) => {
      fs.writeFileSync(path('ram'), '')
      fs.truncateSync(path('ram'), RAM_BYTES)
    },
    run: (path) => fs.truncateSync(path('ram'), 2 * RAM_BYTES),
  },
  allocate: {
    run: (path) => withFile(path('file'), 'r+', (fd) => must(allocate(fd, 0, 0, 8192))),
  },
  'punch a hole': {
    run: (path) =>
      withFile(path('file'), 'r+', (fd) =>
        must(allocate(fd, FALLOC_FL.punchHole | FALLOC_FL.keepSize, 1, 5)),
      ),
  },
  'open of RAM': {
    prepare: (path) => {
      fs.writeFileSync(path('ram'), '')
      fs.truncateSync(path('ram'), RAM_BYTES)
    },
    run: (path) => withFile(path('ram'), 'r+', () => {}),
  },
  read: { run: (path) => assert.equal(fs.readFileSync(path('file'), 'utf8'), TEXT) },
  readlink: {
    prepare: (path) => fs.symlinkSync('somewhere', path('link')),
    run: (path) => assert.equal(fs.readlinkSync(path('link')), 'somewhere'),
  },
  getxattr: {
    prepare: (path) => must(setxattr(path('file'), XATTR, Buffer.from('value'))),
    run: (path) => {
      assert.deepEqual(listxattr(path('file')), [XATTR])
      assert.deepEqual(getxattr(path('file'), XATTR), new Uint8Array(Buffer.from('value')))
    },
  },
  lseek: {
    run: (path) =>
      withFile(path('file'), 'r', (fd) => assert.equal(seek(fd as Fd, 0, SEEK_HOLE), TEXT.length)),
  },
  fsync: {
    run: (path) => {
      withFile(path('file'), 'r+', (fd) => fs.fsyncSync(fd))
      withFile(path('folder'), 'r', (fd) => fs.fsyncSync(fd))
    },
  },
  access: {
    run: (path) => {
      fs.accessSync(path('file'), fs.constants.R_OK)
      assert.throws(() => fs.accessSync(path('absent')), { code: 'ENOENT' })
    },
  },
  list: { run: (path) => assert.deepEqual(fs.readdirSync(path('.')).sort(), ['file', 'folder']) },
  statfs: { run: (path) => assert.notEqual(fs.statfsSync(path('.')).blocks, 0) },
}

export function prepare(name: string, folder: string): void {
  const path = (below: string): string => join(folder, below)
  fs.mkdirSync(folder)
  fs.writeFileSync(path('file'), TEXT)
  fs.mkdirSync(path('folder'))
  OPERATIONS[name]?.prepare?.(path)
}

/** A line for each name, in order. */
export function describe(folder: string): string[] {
  const names = (fs.readdirSync(folder, { recursive: true }) as string[]).sort()
  return names.map((name) => {
    const path = join(folder, name)
    const { mode, uid, gid, nlink, size } = fs.lstatSync(path)
    const isFile = (mode & 0o170000) === 0o100000
    const value = isFile ? getxattr(path, XATTR) : undefined
    const xattr = value === undefined || value instanceof Errno ? '' : Buffer.from(value).toString()
    const links = isFile ? nlink : ''
    const bytes = isFile && size < RAM_BYTES ? fs.readFileSync(path).toString('hex') : ''
    return [name, mode.toString(8), uid, gid, links, isFile ? size : '', xattr, bytes].join(' ')
  })
}

if (import.meta.main) {
  const [, , name = '', folder = ''] = process.argv
  OPERATIONS[name]?.run((below) => join(folder, below))
}
