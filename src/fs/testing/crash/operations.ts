/**
 * The list of operations that crashes are tried in: every way to change the file system, on the files of
 * population.ts.
 */
import { BLOCK_BYTES } from '../../../stores/store.ts'
import { ENOENT, Errno } from '../../../values/errno.ts'
import { byteString, type Ino, ROOT_INO } from '../../../values/ids.ts'
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../../values/uapi.ts'
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from '../../operations/rename.ts'
import { FORMAT, SIZE, UPDATE, VM } from '../../xattrs/control-xattrs.ts'
import { nameAt } from '../fixture.ts'
import type { CrashServer } from './crash-server.ts'

/**
 * Some other operation may have been first: what an operation then answers is an errno, and nothing changed.
 */
export type CrashOperation = (server: CrashServer) => unknown

const n = byteString

/** On the file at `path`, if it is still there. */
const on =
  (path: string, operation: (server: CrashServer, ino: Ino) => unknown): CrashOperation =>
  (server) => {
    const ino = server.at(path)
    return ino === undefined ? ENOENT : operation(server, ino)
  }

const renamed = (from: string, to: string, flags: number): CrashOperation =>
  on('dir', ({ fs, rq }, dir) => fs.rename(rq(), nameAt(ROOT_INO, from), nameAt(dir, to), flags))

const resized = (path: string, sizeBytes: number): CrashOperation =>
  on(path, ({ fs, rq }, ino) => fs.setAttributes(rq(), ino, { sizeBytes }))

const blocksOf = (count: number): Uint8Array => Buffer.from(String(count * BLOCK_BYTES))

export const OPERATIONS = {
  create: ({ fs, rq }) => fs.create(rq(), nameAt(ROOT_INO, 'created'), 0o600),
  mkdir: on('dir', ({ fs, rq }, dir) => fs.mkdir(rq(), nameAt(dir, 'made'), 0o700)),
  symlink: ({ fs, rq }) => fs.symlink(rq(), nameAt(ROOT_INO, 'pointer'), n('dir/inner')),
  'look at the contents': on('plain', ({ fs, rq }, ino) => fs.accessed(rq(), ino, 'strict')),
  mknod: ({ fs, rq }) => fs.mknod(rq(), nameAt(ROOT_INO, 'node'), 'block-device', 0o660, 0x801),
  link: on('ram', ({ fs, rq }, ino) => fs.link(rq(), ino, nameAt(ROOT_INO, 'linked'))),
  unlink: ({ fs, rq }) => fs.unlink(rq(), nameAt(ROOT_INO, 'plain')),
  rmdir: ({ fs, rq }) => fs.rmdir(rq(), nameAt(ROOT_INO, 'empty')),
  rename: renamed('ram', 'moved', 0),
  'rename over another': renamed('other', 'inner', 0),
  'rename exchange': renamed('plain', 'inner', RENAME_EXCHANGE),
  'rename noreplace': renamed('symlink', 'kept', RENAME_NOREPLACE),
  'rename leaving a whiteout': renamed('other', 'inner', RENAME_WHITEOUT),
  'rename a directory': renamed('empty', 'moved', 0),
  'rename over a directory': renamed('empty', 'hollow', 0),
  chmod: on('plain', ({ fs, rq }, ino) => fs.setAttributes(rq(), ino, { mode: 0o600 })),
  chown: on('ram', ({ fs, rq }, ino) => fs.setAttributes(rq(), ino, { uid: 70_000, gid: 5 })),
  utimes: on('dir', ({ fs, rq }, ino) => {
    const time = { seconds: -1, nanoseconds: 1 }
    return fs.setAttributes(rq(), ino, { atime: time, mtime: time })
  }),
  'truncate up': resized('ram', 5 * BLOCK_BYTES),
  'truncate down': resized('ram', 2 * BLOCK_BYTES),
  'truncate within a block': resized('plain', 5),
  'truncate to nothing': resized('other', 0),
  'truncate guest RAM to nothing': resized('ram', 0),
  'truncate to guest RAM': resized('nothing', 2 * BLOCK_BYTES),
  fallocate: on('other', ({ fs, rq }, ino) => fs.fallocate(rq(), ino, 0, 0, BLOCK_BYTES + 5)),
  'punch hole': on('plain', ({ fs, rq }, ino) => {
    return fs.fallocate(rq(), ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 6)
  }),
  write: on('plain', ({ fs, rq }, ino) => fs.write(rq(), ino, 3, new Uint8Array(4).fill(0x77))),
  'write beyond the end': on('other', ({ fs, rq }, ino) => {
    return fs.write(rq(), ino, BLOCK_BYTES, new Uint8Array(8).fill(0x78))
  }),
  'write that drops set-id bits': on('dir/inner', ({ fs, rq }, ino) => {
    return fs.write(rq(), ino, 0, new Uint8Array(4).fill(0x79), { killsSetId: true })
  }),
  setxattr: on('ram', ({ fs, rq }, ino) =>
    fs.setXattr(rq(), ino, n('user.new'), new Uint8Array(40).fill(9), 0),
  ),
  'setxattr over another': on('plain', ({ fs, rq }, ino) => {
    return fs.setXattr(rq(), ino, n('user.old'), Uint8Array.of(4), 0)
  }),
  'resize by xattr': on('ram', ({ fs, rq }, ino) => fs.setXattr(rq(), ino, SIZE, Buffer.from('2097152'), 0)),
  'grow the pool': ({ fs, rq }) => fs.setXattr(rq(), ROOT_INO, SIZE, blocksOf(40), 0),
  'shrink the pool to what is in use': ({ fs, rq }) => {
    const sizes = fs.getXattr(ROOT_INO, n('guestmemfs.size'))
    if (sizes instanceof Errno) return sizes
    const { leastBytes } = JSON.parse(Buffer.from(sizes).toString())
    return fs.setXattr(rq(), ROOT_INO, SIZE, Buffer.from(String(leastBytes)), 0)
  },
  'record of a VM': on('ram', ({ fs, rq }, ino) =>
    fs.setXattr(rq(), ino, VM, Buffer.from('{"name":"a"}'), 0),
  ),
  'record of an update': ({ fs, rq }) => fs.setXattr(rq(), ROOT_INO, UPDATE, Buffer.from('{"to":"b"}'), 0),
  removexattr: on('plain', ({ fs, rq }, ino) => fs.removeXattr(rq(), ino, n('user.old'))),
  freeze: ({ fs, rq }) => fs.freeze(rq()),
  thaw: ({ fs, rq }) => fs.thaw(rq()),
  evict: ({ fs }) => fs.orphans().map(({ ino }) => fs.evict({ origin: { unique: 0n, epoch: 1 } }, ino)),
  'evict in turn': ({ fs }) => fs.retryOrphans({ origin: { unique: 0n, epoch: 1 } }, () => false),
  zeroed: ({ fs, store }) => {
    const extent = fs.dirtyExtent(2)
    if (extent === undefined) return undefined
    store.zero(extent)
    return fs.markClean({ origin: { unique: 0n, epoch: 1 } }, extent)
  },
  'memory fails under a file': ({ fs, image }) => {
    const ram = [...image.state.inodes.values()].find(({ guestRam }) => guestRam)
    const [extent] = ram?.extents ?? []
    return extent && fs.markBad({ origin: { unique: 0n, epoch: 1 } }, [{ start: extent.start, count: 1 }])
  },
  'memory fails that no file has': ({ fs }) => {
    const start = 11
    // The pool may have been shrunk before.
    const count = Math.min(3, fs.statfs().totalBlocks - start)
    return count > 0 ? fs.markBad({ origin: { unique: 0n, epoch: 1 } }, [{ start, count }]) : undefined
  },
} as const satisfies Record<string, CrashOperation>

/** Of an image of version 1. It makes no record. */
export const UPGRADE = 'upgrade'
const upgrade: CrashOperation = ({ fs, rq }) => fs.setXattr(rq(), ROOT_INO, FORMAT, Buffer.from('2'), 0)

export const operationOf = (name: OperationName | typeof UPGRADE): CrashOperation =>
  name === UPGRADE ? upgrade : OPERATIONS[name]

export type OperationName = keyof typeof OPERATIONS
export const OPERATION_NAMES = Object.keys(OPERATIONS) as OperationName[]

/**
 * Operations that change bytes a file shows before the record is there: in flight, either bytes may be seen.
 */
export const CHANGES_BYTES: ReadonlySet<OperationName | typeof UPGRADE> = new Set([
  'write',
  'write beyond the end',
  'write that drops set-id bits',
  'punch hole',
])
