/** Tests that the server is killed in an operation of each opcode that has a caller. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Opcode } from '../../src/fuse/opcodes.ts'
import { OPERATIONS } from './operations.ts'

/** An operation that makes the kernel send the request. undefined: no system call waits for its reply. */
const OPERATION_OF: { readonly [O in Opcode]: string | undefined } = {
  LOOKUP: 'create',
  FORGET: undefined,
  GETATTR: 'list',
  SETATTR: 'chmod',
  READLINK: 'readlink',
  SYMLINK: 'symlink',
  MKNOD: 'mknod',
  MKDIR: 'mkdir',
  UNLINK: 'unlink',
  RMDIR: 'rmdir',
  RENAME: 'rename',
  LINK: 'link',
  OPEN: 'read',
  READ: 'read',
  WRITE: 'write',
  STATFS: 'statfs',
  RELEASE: undefined,
  FSYNC: 'fsync',
  SETXATTR: 'setxattr',
  GETXATTR: 'getxattr',
  LISTXATTR: 'getxattr',
  REMOVEXATTR: 'removexattr',
  FLUSH: undefined,
  INIT: undefined,
  OPENDIR: 'list',
  READDIR: 'list',
  RELEASEDIR: undefined,
  FSYNCDIR: 'fsync',
  ACCESS: 'access',
  CREATE: 'create',
  INTERRUPT: undefined,
  DESTROY: undefined,
  BATCH_FORGET: undefined,
  FALLOCATE: 'allocate',
  READDIRPLUS: 'list',
  RENAME2: 'exchange',
  LSEEK: 'lseek',
}

test('each opcode that has a caller has an operation', () => {
  for (const [opcode, name] of Object.entries(OPERATION_OF))
    assert.ok(name === undefined || Object.hasOwn(OPERATIONS, name), `${opcode}: there is no ${name}`)
})
