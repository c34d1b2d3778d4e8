/**
 * Owns the keeper's second set of its descriptors, in the service manager's store (systemd.service(5), FileDescriptorStoreMax=): what
 * is there outlives keeper and server both, and comes back to the unit's next start. sd_pid_notify_with_fds(3) has the words.
 * It must not wait: a manager that is slow to read gets what is owed to it later, in order.
 */
import { connectDatagram, sendMessageNow } from '../../linux/sockets.ts'
import { EAGAIN, Errno } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'

/** What a stored descriptor is; the store knows them by these names alone. */
export type StoredName = 'table' | 'image' | 'runtime' | 'fuse' | `memory-${ObjectId}`
export const storedName = (object: ObjectId): StoredName => `memory-${object}`
export const isStoredObject = (name: string): boolean => /^memory-\d+$/.test(name)
export const objectOf = (name: string): ObjectId => Number(name.slice('memory-'.length)) as ObjectId

/** The unit's descriptors by name. `replace`: whatever had the name before goes. */
export interface FdStore {
  put(name: StoredName, fd: Fd): void
  replace(name: StoredName, fd: Fd): void
  remove(name: string): void
  /** Resolves when nothing is owed any more, or will never be taken. */
  settled(): Promise<void>
}

interface Notice {
  readonly name: string
  readonly fd: Fd | undefined
}

const RETRY_MS = 5
/**
 * A little less than the unit's FileDescriptorStoreMax=. The manager compares each descriptor with all it has (`service_add_fd_store`), so
 * that tens of thousands would keep it busy for minutes.
 */
export const MAX_STORED = 4000

const text = ({ name, fd }: Notice): Buffer =>
  // Without FDPOLL=0 the manager drops a descriptor that hangs up, and ours may while its successor is on the way.
  Buffer.from(fd === undefined ? `FDSTOREREMOVE=1\nFDNAME=${name}` : `FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`)

/** `send`: one datagram, or why it cannot go now (EAGAIN) or at all. */
export class SystemdFdStore implements FdStore {
  readonly #tellFull: () => void
  readonly #sendNow: (bytes: Uint8Array, descriptors: readonly Fd[]) => Errno | undefined
  readonly #memories = new Set<string>()
  #owed: Notice[] = []
  #timer: NodeJS.Timeout | undefined
  #whenSettled: (() => void)[] = []

  /** `tellFull`: from now on there are descriptors that are not in the store. Called once. */
  constructor(
    send: (bytes: Uint8Array, descriptors: readonly Fd[]) => Errno | undefined,
    tellFull: () => void,
  ) {
    this.#sendNow = send
    let isTold = false
    this.#tellFull = () => {
      if (!isTold) tellFull()
      isTold = true
    }
  }

  put(name: StoredName, fd: Fd): void {
    // Without the pool's own areas no memory is of use.
    const isOneMore = isStoredObject(name) && !this.#memories.has(name)
    if (isOneMore && this.#memories.size >= MAX_STORED) {
      this.#tellFull()
      return
    }
    if (isOneMore) this.#memories.add(name)
    this.#say({ name, fd })
  }

  replace(name: StoredName, fd: Fd): void {
    this.remove(name)
    this.put(name, fd)
  }

  remove(name: string): void {
    // The number may be another file's by the time it would be sent.
    this.#memories.delete(name)
    this.#owed = this.#owed.filter((notice) => notice.name !== name || notice.fd === undefined)
    this.#say({ name, fd: undefined })
  }

  settled(): Promise<void> {
    return this.#owed.length === 0
      ? Promise.resolve()
      : new Promise((resolve) => this.#whenSettled.push(resolve))
  }

  #say(notice: Notice): void {
    this.#owed.push(notice)
    if (this.#timer === undefined) this.#send()
  }

  #send(): void {
    this.#timer = undefined
    for (let notice = this.#owed[0]; notice !== undefined; notice = this.#owed[0]) {
      const errno = this.#sendNow(text(notice), notice.fd === undefined ? [] : [notice.fd])
      if (errno === EAGAIN) {
        this.#timer = setTimeout(() => this.#send(), RETRY_MS)
        return
      }
      // Anything else will not become better: the keeper has its own copies, as it had without a manager.
      this.#owed.shift()
    }
    for (const resolve of this.#whenSettled.splice(0)) resolve()
  }
}

/** For a keeper that is nobody's unit. */
const NO_STORE: FdStore = {
  put: () => {},
  replace: () => {},
  remove: () => {},
  settled: () => Promise.resolve(),
}

/** The store of the unit that this process belongs to, by what the manager put into its environment. */
export const systemdFdStore = (environment: NodeJS.ProcessEnv, tellFull: () => void): FdStore => {
  const address = environment.GUESTMEMFS_UNIT === undefined ? undefined : environment.NOTIFY_SOCKET
  const socket = address === undefined ? undefined : connectDatagram(address)
  if (socket === undefined || socket instanceof Errno) return NO_STORE
  return new SystemdFdStore((bytes, descriptors) => sendMessageNow(socket, bytes, descriptors), tellFull)
}
