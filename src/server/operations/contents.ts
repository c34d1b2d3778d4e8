/** Owns the requests about what files and directories hold. */
import type { ListedName } from '../../fs/operations/listing.ts'
import { FUSE_WRITE_KILL_SUIDGID } from '../../fuse/constants.ts'
import { MAX_WRITE_BYTES } from '../../fuse/init.ts'
import type { RequestOf } from '../../fuse/opcodes.ts'
import type { Reply } from '../../fuse/replies.ts'
import { BLOCK_BYTES } from '../../stores/store.ts'
import { Errno } from '../../values/errno.ts'
import { Refusal } from '../../values/refusal.ts'
import { modeOfKind } from '../attributes.ts'
import type { Operations, Service } from '../service.ts'

const NO_HANDLE = { fh: 0n, flags: 0 } as const

/** `put` adds one name to the reply, or says that it has no room. */
const listDirectory = (
  service: Service,
  request: RequestOf<'READDIR'> | RequestOf<'READDIRPLUS'>,
  reply: Reply,
  put: (entry: ListedName) => boolean,
): void => {
  service.withInode(request.header.nodeid, reply, ({ ino }) => {
    const names = service.fs.readDirectory(ino, request.offset)
    if (names instanceof Errno) return service.refuse(names, reply)
    reply.beginDirectory(request.size)
    for (const entry of names) if (!put(entry)) break
    reply.endDirectory()
  })
}

const isDots = ({ name }: ListedName): boolean => name === '.' || name === '..'

/** The type a listing shows must be the one a lookup will find. */
const listedMode = (service: Service, { ino, kind }: ListedName): number => {
  const inode = kind === 'file' ? service.fs.inode(ino) : undefined
  return inode === undefined
    ? modeOfKind(kind)
    : modeOfKind(service.present(inode).form === 'link' ? 'symlink' : 'file')
}

export const contentOperations = {
  READ(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      const into = reply.dataArea(Math.min(request.size, MAX_WRITE_BYTES))
      const length = service.fs.read(ino, request.offset, into)
      if (length instanceof Refusal) service.refuse(length, reply)
      else reply.filled(length)
    })
  },
  WRITE(service, request, reply) {
    service.withInode(request.header.nodeid, reply, (inode, form) => {
      const killsSetId = (request.writeFlags & FUSE_WRITE_KILL_SUIDGID) !== 0
      const { offset, data } = request
      const written = service.fs.write(service.asked(request), inode.ino, offset, data, { killsSetId })
      if (written instanceof Refusal) return service.refuse(written, reply)
      // The kernel takes the mode for what it was, and would go by it when the file is executed.
      if (service.fs.inode(inode.ino)?.mode !== inode.mode) service.kernel.outdate({ inode, form })
      reply.write(written)
    })
  },
  FALLOCATE(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      const { mode, offset, length } = request
      service.answerDone(service.fs.fallocate(service.asked(request), ino, mode, offset, length), reply)
    })
  },
  LSEEK(service, request, reply) {
    service.withInode(request.header.nodeid, reply, ({ ino }) => {
      const found = service.fs.seek(ino, request.offset, request.whence)
      if (found instanceof Refusal) service.refuse(found, reply)
      else reply.lseek(found)
    })
  },
  /** Directories need no handle: a listing goes on behind the last cookie, whoever answers. */
  OPENDIR(_service, _request, reply) {
    reply.open(NO_HANDLE)
  },
  READDIR(service, request, reply) {
    listDirectory(service, request, reply, (entry) =>
      reply.name(entry.name, entry.ino, listedMode(service, entry), entry.cookie),
    )
  },
  READDIRPLUS(service, request, reply) {
    listDirectory(service, request, reply, (entry) => {
      const { name, ino, cookie } = entry
      const mode = listedMode(service, entry)
      if (isDots(entry)) return reply.namePlus(name, ino, mode, cookie, undefined)
      const inode = service.fs.inode(ino)
      if (inode === undefined || !service.kernel.canStage) return false
      const shown = service.present(inode)
      const added = reply.namePlus(name, ino, mode, cookie, service.entryOf(shown))
      if (added) service.kernel.stageLookup(shown)
      return added
    })
  },
  STATFS(service, _request, reply) {
    service.evictions.endAll()
    const use = service.fs.statfs()
    reply.statfs({
      blocks: use.totalBlocks,
      bfree: use.freeBlocks,
      bavail: use.availableBlocks,
      files: use.files,
      ffree: use.freeFiles,
      bsize: BLOCK_BYTES,
      frsize: BLOCK_BYTES,
      namelen: 255,
    })
  },
  // Memory is where these bytes live: there is nothing to write back, and no handle to close.
  FLUSH: (_service, _request, reply) => reply.empty(),
  FSYNC: (_service, _request, reply) => reply.empty(),
  FSYNCDIR: (_service, _request, reply) => reply.empty(),
  RELEASE: (_service, _request, reply) => reply.empty(),
  RELEASEDIR: (_service, _request, reply) => reply.empty(),
  DESTROY: (_service, _request, reply) => reply.empty(),
  /** A request is served to its end, or waits for slow work with nothing done yet: that wait can be given up. */
  INTERRUPT(service, request) {
    service.interrupt(request.unique)
  },
} satisfies Partial<Operations>
