/** The one process that watches all guests of a host (`src/qemu/watch/`). */
import { closeSync, openSync } from 'node:fs'
import { lockOwner } from '../../src/linux/own-lock.ts'
import { WATCHER_LOCK } from '../../src/run/paths.ts'
import type { Fd } from '../../src/values/ids.ts'

export function watcherPid(): number {
  const fd = openSync(WATCHER_LOCK, 'r') as Fd
  const pid = lockOwner(fd)
  closeSync(fd)
  if (pid === undefined) throw new Error('nothing watches the guests')
  return pid
}
