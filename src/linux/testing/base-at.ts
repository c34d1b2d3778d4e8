/** An ordinary directory as the base of a walk: in the place of a guestmemfs mount. */
import { closeSync, openSync } from 'node:fs'
import type { Fd } from '../../values/ids.ts'
import { type Base, mountIdOf } from '../beneath.ts'

export function baseAt(path: string): Base {
  const fd = openSync(path, 'r') as Fd
  try {
    return { path, mountId: mountIdOf(fd) ?? -1 }
  } finally {
    closeSync(fd)
  }
}
