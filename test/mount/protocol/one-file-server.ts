/**
 * The smallest real server over the protocol layer: a directory with one file backed by a memfd. Run as a
 * program: the connection is descriptor 3, the memfd descriptor 4, both from the test, so that a second one
 * can take over. Its first argument is `first` or `successor`. Opening the name `deadly` ends a first server
 * before it answers.
 */

import { FOPEN } from '../../../src/fuse/constants.ts'
import { type Handler, resend, serve } from '../../../src/fuse/session.ts'
import { openBacking } from '../../../src/linux/fuse-device.ts'
import { ENODATA, ENOENT, ENOSYS, Errno } from '../../../src/values/errno.ts'
import { type BackingId, byteString, type Fd, type NodeId } from '../../../src/values/ids.ts'

const FUSE = 3 as Fd
const MEMORY = 4 as Fd
const FILE_BYTES = 4 * 1024 * 1024

const TIME = { seconds: 1_000_000_000, nanoseconds: 5 }
const DIRECTORY = {
  ino: 1,
  sizeBytes: 0,
  blocks: 0,
  atime: TIME,
  mtime: TIME,
  ctime: TIME,
  mode: 0o40755,
  links: 2,
  uid: 0,
  gid: 0,
  rdev: 0,
  blksize: 4096,
}
const FILE = {
  ...DIRECTORY,
  ino: 2,
  sizeBytes: FILE_BYTES,
  blocks: FILE_BYTES / 512,
  mode: 0o100640,
  links: 1,
  uid: 7,
  gid: 8,
}
const FILE_ENTRY = {
  nodeid: 2n as NodeId,
  generation: 0,
  entryValidSeconds: 0,
  attrValidSeconds: 0,
  attributes: FILE,
}
const NAMES = [
  { name: byteString('.'), attributes: DIRECTORY },
  { name: byteString('..'), attributes: DIRECTORY },
  { name: byteString('file'), attributes: FILE, entry: FILE_ENTRY },
]

const isFirst = process.argv[2] === 'first'
const attributesOf = (nodeid: NodeId) => (nodeid === 1n ? DIRECTORY : FILE)
let backing: BackingId | Errno | undefined

const handle: Handler = (request, reply) => {
  switch (request.opcode) {
    case 'LOOKUP':
      if (request.name === 'deadly') {
        if (isFirst) process.kill(process.pid, 'SIGKILL')
        process.stdout.write(`asked again: ${request.header.resent}\n`)
      }
      return request.name === 'file' || request.name === 'deadly'
        ? reply.entry(FILE_ENTRY)
        : reply.error(ENOENT)
    case 'GETATTR':
      return reply.attr(attributesOf(request.header.nodeid), 0)
    case 'OPEN':
      backing ??= openBacking(FUSE, MEMORY)
      if (backing instanceof Errno) return reply.error(backing)
      return reply.open({
        fh: 9n,
        flags: FOPEN.DIRECT_IO | FOPEN.PASSTHROUGH | FOPEN.NOFLUSH,
        backingId: backing,
      })
    case 'OPENDIR':
      return reply.open({ fh: 1n, flags: 0 })
    case 'READDIR':
    case 'READDIRPLUS':
      reply.beginDirectory(request.size)
      for (const [index, { name, attributes, entry }] of NAMES.entries()) {
        if (index < request.offset) continue
        const { ino, mode } = attributes
        const fits =
          request.opcode === 'READDIR'
            ? reply.name(name, ino, mode, index + 1)
            : reply.namePlus(name, ino, mode, index + 1, entry)
        if (!fits) break
      }
      return reply.endDirectory()
    case 'READ':
      reply.dataArea(request.size).fill(0x41)
      return reply.filled(request.size)
    case 'WRITE':
      return reply.write(request.size)
    case 'LSEEK':
      return reply.lseek(request.offset + request.whence)
    case 'STATFS':
      return reply.statfs({
        blocks: 10,
        bfree: 5,
        bavail: 4,
        files: 3,
        ffree: 2,
        bsize: 4096,
        namelen: 255,
        frsize: 4096,
      })
    case 'GETXATTR':
      if (request.name === 'user.too-much') return reply.data(new Uint8Array(request.size + 1))
      if (request.name !== 'user.value') return reply.error(ENODATA)
      return request.size === 0 ? reply.xattrSize(5) : reply.data(Buffer.from('value'))
    case 'SETXATTR':
      process.stdout.write(`set ${request.name} to ${Buffer.from(request.data)}\n`)
      return reply.empty()
    case 'RELEASE':
    case 'RELEASEDIR':
      return reply.empty()
    case 'FORGET':
    case 'BATCH_FORGET':
    case 'INTERRUPT':
      return
    default:
      return reply.error(ENOSYS)
  }
}

if (!isFirst) process.stdout.write(`resend: ${resend(FUSE)}\n`)
const report = (line: string): void => void process.stdout.write(`report: ${line}\n`)
const end = serve(FUSE, {
  handle,
  report,
  negotiated: ({ flags2 }) => void process.stdout.write(`flags2 ${flags2}\n`),
})
process.stdout.write(`${end}\n`)
