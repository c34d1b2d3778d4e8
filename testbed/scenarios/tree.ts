/**
 * A folder with one of each type of file: shell scripts that make it and describe it, and the differences of
 * two descriptions.
 */

export const MAKE_TREE = `
  mkdir -p /mnt/guestmemfs/tree/a/b/c/d
  cd /mnt/guestmemfs/tree
  for name in one a/two a/b/three a/b/c/d/four; do head -c 70001 /dev/urandom >$name; done
  : >empty
  ln one a/b/c/one-again
  ln -s ../two a/b/to-two
  ln -s /nowhere dangling
  chmod 4751 one; chmod 1777 a/b; chmod 0 empty
  chown 1234:5678 a/two a/b; chown -h 42:43 dangling
  setfattr -n user.note -v 'kept in memory' one
  setfattr -n user.empty a/b
  setfattr -n trusted.secret -v 0x00ff00 a/b/three
  touch -d '2001-02-03 04:05:06.789' a/b/three a`

/** Its output is equal for equal folders. */
export const TELL_TREE = `
  cd /mnt/guestmemfs/tree
  find . -printf '%p %y %m %U %G %n %T@ %l\\n' | sort
  find . -type f -print0 | sort -z | xargs -0 md5sum
  find . ! -type l -print0 | sort -z | xargs -0 getfattr -dh -e hex -m '^(user|trusted[.]secret)'`

/** Lines of one description that the other does not have; empty where the two are equal. */
export function differences(before: string, after: string): string[] {
  if (before === after) return []
  const [one, other] = [before.split('\n'), after.split('\n')]
  const lines = [
    ...one.filter((line) => !other.includes(line)).map((line) => `gone: ${line}`),
    ...other.filter((line) => !one.includes(line)).map((line) => `new: ${line}`),
  ]
  return lines.length > 0 ? lines : ['the same lines in another order']
}

/** How many files, folders and links a description has. */
export const countNames = (told: string): number =>
  told.split('\n').filter((line) => line.startsWith('.')).length
