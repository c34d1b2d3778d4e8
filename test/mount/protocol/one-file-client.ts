/**
 * A program that accesses the one file: the test must never access the mount itself, or a server that hangs
 * would keep it from unmounting. `one-file-client.ts contents|xattrs PATH` prints what it read as JSON.
 */
import { openSync, readSync, writeSync } from 'node:fs'
import { mapShared, seek } from '../../../src/linux/memory.ts'
import { getxattr, setxattr } from '../../../src/linux/xattr.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'

const SEEK_DATA = 3
const [verb, path = ''] = process.argv.slice(2)

function contents(): unknown[] {
  const fd = openSync(path, 'r+') as Fd
  const mapping = mapShared(fd, 4 * 1024 * 1024)
  mapping[mapping.byteLength - 1] = 42
  const three = Buffer.alloc(3)
  readSync(fd, three, 0, 3, 0)
  return [
    mapping[0],
    three.toString(),
    writeSync(fd, Buffer.alloc(1024 * 1024, 'x'), 0, 1024 * 1024, 0),
    seek(fd, 100, SEEK_DATA),
  ]
}

function value(name: string): string {
  const found = getxattr(path, name)
  return found instanceof Errno ? found.name : Buffer.from(found).toString()
}

const xattrs = (): unknown[] => [
  value('user.value'),
  value('user.no'),
  String(setxattr(path, 'user.new', Buffer.from('bytes'))),
  value('user.too-much'),
  value('user.value'),
]

process.stdout.write(JSON.stringify(verb === 'contents' ? contents() : xattrs()))
