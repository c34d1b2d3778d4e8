/** Owns the time that operations are handed: the file system has no clock of its own. */
import type { Timestamp } from '../fs/state/inode.ts'

/** CLOCK_REALTIME to the millisecond. Read anew each time, so that it follows whoever sets the host's clock. */
export const wallClock = (): Timestamp => {
  const milliseconds = Date.now()
  const seconds = Math.floor(milliseconds / 1000)
  return { seconds, nanoseconds: (milliseconds - seconds * 1000) * 1_000_000 }
}
