/**
 * A program of an unprivileged owner of a file, which tries operations on extended attributes:
 * `xattr-owner.ts THEIRS ROOTS`, below the mount's root directory; prints the answers as JSON.
 */
import { getxattr, removexattr, setxattr } from '../../src/linux/xattr.ts'
import { answersTo } from './refused.ts'

const [, , theirs = '', roots = ''] = process.argv
const VM = 'trusted.guestmemfs.vm'
const one = Buffer.from('1')

process.stdout.write(
  JSON.stringify(
    answersTo({
      'user on their own': () => setxattr(theirs, 'user.mine', one),
      "user on root's": () => setxattr(roots, 'user.mine', one),
      'trusted on their own': () => setxattr(theirs, 'trusted.mine', one),
      'record a VM': () => setxattr(theirs, VM, Buffer.from('{"name":"evil"}')),
      'remove the record': () => removexattr(theirs, VM),
      'read the record': () => getxattr(theirs, VM),
      freeze: () => setxattr('..', 'trusted.guestmemfs.frozen', one),
      'read how to map it': () => getxattr(theirs, 'guestmemfs.map'),
      'read the pool': () => getxattr('..', 'guestmemfs.pool'),
    }),
  ),
)
