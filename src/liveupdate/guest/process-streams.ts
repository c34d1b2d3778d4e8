/** The standard streams of a guest's program, which the next one of the guest gets. */
import { close } from '../../linux/descriptors.ts'
import { pidfdGetFd, pidfdOpen } from '../../linux/process.ts'
import type { Streams } from '../../qemu/start/start-process.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'

/** Copies of them. Errors: UsageError. */
export function streamsOf(pid: number): Streams {
  const pidfd = pidfdOpen(pid)
  if (pidfd instanceof Errno) throw new UsageError(`QEMU (process ${pid}) has ended`)
  const copies: Fd[] = []
  try {
    for (const number of [0, 1, 2]) {
      const fd = pidfdGetFd(pidfd, number)
      if (fd instanceof Errno) throw new UsageError(`QEMU (process ${pid}) has no standard streams: ${fd}`)
      copies.push(fd)
    }
    return copies as unknown as Streams
  } catch (error) {
    for (const fd of copies) close(fd)
    throw error
  } finally {
    close(pidfd)
  }
}
