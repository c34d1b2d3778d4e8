/** syncfs(2): writes what a file system has in memory to its disk. */
import { closeSync, openSync } from 'node:fs'
import { libcCall, must, orErrno } from './library.ts'

const syncfs = libcCall('syncfs', 'int', ['int'])

/**
 * Syncs the file system that `path` lies in. Throws SystemCallError (EIO, ENOSPC, EDQUOT) and Node's errors.
 */
export function syncFileSystem(path: string): void {
  const fd = openSync(path, 'r')
  try {
    must(orErrno(syncfs(fd)), `syncfs of ${path}`)
  } finally {
    closeSync(fd)
  }
}
