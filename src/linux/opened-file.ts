/**
 * A file that is opened once, and read or passed to the kernel through that one descriptor: a rename over its
 * path changes nothing.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { errnoOfNodeError } from './library.ts'

export interface OpenedFile {
  readonly path: string
  /** Open until `close`; its offset stays 0. */
  readonly fd: Fd
  readonly sizeBytes: number
  /** Fewer bytes than asked for at the end of the file. */
  readonly read: (offset: number, lengthBytes: number) => Buffer | Errno
  readonly close: () => void
}

/** Errors: those of open(2). A directory can be opened; reading it is EISDIR. */
export function openFile(path: string): OpenedFile | Errno {
  try {
    const fd = openSync(path, 'r') as Fd
    return {
      path,
      fd,
      sizeBytes: fstatSync(fd).size,
      read: (offset, lengthBytes) => readFully(fd, offset, lengthBytes),
      close: () => closeSync(fd),
    }
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

function readFully(fd: Fd, offset: number, lengthBytes: number): Buffer | Errno {
  const bytes = Buffer.alloc(lengthBytes)
  try {
    for (let at = 0; at < lengthBytes; ) {
      const got = readSync(fd, bytes, at, lengthBytes - at, offset + at)
      if (got === 0) return bytes.subarray(0, at)
      at += got
    }
    return bytes
  } catch (error) {
    return errnoOfNodeError(error)
  }
}
