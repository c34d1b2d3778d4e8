/**
 * A reader of xattrs: `read-xattrs.ts PATH NAME…` prints each value, or the error's name, as one JSON object.
 */
import { getxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'

const [, , path = '', ...names] = process.argv

function readOne(name: string): string {
  const value = getxattr(path, name)
  return value instanceof Errno ? value.name : Buffer.from(value).toString()
}

process.stdout.write(JSON.stringify(Object.fromEntries(names.map((name) => [name, readOne(name)]))))
