/**
 * The operations at whose system calls a server is killed: each prepares a folder, then does one operation on
 * it. `tell` describes the result by names, attributes and bytes, without times.
 *
 * As a program, `operations.ts NAME FOLDER`, it does the operation.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { getxattr, removexattr, setxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import { allocate, FALLOC_FL, RENAME, renameFlags } from '../../test/mount/system-calls.ts'

interface Operation {
  /**
   * Before the server is killed; the folder has `file` with some text and the empty folder `folder` already.
   */
  readonly prepare?: (path: (name: string) => string) => void
  readonly run: (path: (name: string) => string) => void
}

const XATTR = 'user.mark'
const RAM_BYTES = 4 * 2 ** 20

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
  rmdir: { run: (path) => fs.rmdirSync(path('folder')) },
  rename: { run: (path) => fs.renameSync(path('file'), path('folder/moved')) },
  'rename over': {
    prepare: (path) => fs.writeFileSync(path('target'), 'is replaced'),
    run: (path) => fs.renameSync(path('file'), path('target')),
  },
  exchange: { run: (path) => must(renameFlags(path('file'), path('folder'), RENAME.exchange)) },
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
  read: { run: (path) => void fs.readFileSync(path('file')) },
  list: { run: (path) => void fs.readdirSync(path('.')) },
  statfs: { run: (path) => void fs.statfsSync(path('.')) },
}

export function prepare(name: string, folder: string): void {
  const path = (below: string): string => join(folder, below)
  fs.mkdirSync(folder)
  fs.writeFileSync(path('file'), 'text of a file')
  fs.mkdirSync(path('folder'))
  OPERATIONS[name]?.prepare?.(path)
}

/** A line for each name, in order. */
export function tell(folder: string): string[] {
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
