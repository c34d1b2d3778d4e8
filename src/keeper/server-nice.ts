/**
 * Where the kernel puts keeper and server among the processes that wait for a processor: before guests once
 * the pool serves, and behind all others while guests go on that do not wait for it.
 *
 * Those are guests whose QEMUs were started before the mount (src/early). Their QEMUs need a processor; the
 * start of keeper and server, most of it Node's own, takes as much of one, and these guests do not wait for
 * it. No process ever waits for a server that is behind all others: it comes forward before the pool is
 * mounted, so none can have a file of it open. The RAM of these guests is a node in /dev, whose page faults
 * reach no server, and their state a memfd that QEMU has inherited. A guest that needs the mount itself waits
 * for it in either place, and comes after those whose QEMUs run, for as long as `MOST_BEHIND_MS`.
 *
 * It ends, whichever comes first, when the process that started this one says that they have gone on, or is
 * gone; after `MOST_BEHIND_MS`; when the server has read the image; when this keeper has failed.
 */
import { untilReadable } from '../linux/library.ts'
import { setNice, setSessionNice } from '../linux/process.ts'
import { putBack } from '../linux/process-nice.ts'
import { identify, isAlive, type ProcessIdentity } from '../run/process-identity.ts'
import { CONTACT_FD, MOST_BEHIND_MS } from './contact.ts'

/**
 * A process that opens a file waits for the server, as for the kernel itself: guests that keep all processors
 * busy must not come first.
 */
export const SERVER_NICE = -10

/** While this process and its server are behind all others. */
let behind: Behind | undefined

interface Behind {
  /** Of this process, before. */
  readonly nice: number
  readonly stop: () => void
  server?: ProcessIdentity | undefined
}

/** `nice`: the value that this process had before another one put it behind all others. */
export function stayBehind(nice: number): void {
  const { readable, cancel } = untilReadable(CONTACT_FD)
  const timer = setTimeout(comeForward, MOST_BEHIND_MS)
  const stop = (): void => {
    clearTimeout(timer)
    cancel()
  }
  behind = { nice, stop }
  void readable.then(comeForward)
}

/** Nothing where this process is not behind all others. */
export function comeForward(): void {
  if (behind === undefined) return
  const { nice, stop, server } = behind
  behind = undefined
  stop()
  putBack(process.pid, nice)
  if (server === undefined || !isAlive(server)) return
  putBack(server.pid, SERVER_NICE)
  setSessionNice(server.pid, SERVER_NICE)
}

/** `pid`: of a server that was started just now. It is put first when this process comes forward. */
export function putServerFirst(pid: number): void {
  if (behind !== undefined) {
    behind.server = identify(pid)
    return
  }
  setNice(pid, SERVER_NICE)
  setSessionNice(pid, SERVER_NICE)
}
