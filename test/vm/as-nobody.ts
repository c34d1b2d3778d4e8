/**
 * A program of a RAM file's unprivileged owner: tries to read, write and remove its record, and prints each
 * errno.
 */
import { getxattr, removexattr, setxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import { VM_XATTR } from '../../src/values/xattr-names.ts'

const file = process.argv[2] ?? ''
const read = getxattr(file, VM_XATTR)
const tries = [
  read instanceof Errno ? read.name : 'read',
  setxattr(file, VM_XATTR, Buffer.from('{"format":1,"name":"evil"}'))?.name ?? 'written',
  removexattr(file, VM_XATTR)?.name ?? 'removed',
  setxattr(file, 'user.mine', Buffer.from('1'))?.name ?? 'written',
]
process.stdout.write(tries.join(' '))
