/**
 * The service manager's file descriptor store (systemd.service(5), FileDescriptorStoreMax=), as the keeper
 * fills it: its descriptors outlive keeper and server both, and the manager passes them to the unit's next
 * start. The messages are those of sd_pid_notify_with_fds(3). Must not wait: what a slow manager does not
 * take at once is pending, and sent later, in order.
 */
import { connectDatagram, sendMessageNow } from '../../linux/sockets.ts'
import { EAGAIN, Errno } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { StoreUse } from '../../values/store-use.ts'

/** What a stored descriptor is; the store has nothing but these names to tell them apart. */
export type StoredName = 'table' | 'image' | 'runtime' | 'fuse' | `memory-${ObjectId}`
export const storedName = (object: ObjectId): StoredName => `memory-${object}`
export const isStoredObject = (name: string): boolean => /^memory-\d+$/.test(name)
export const storedObject = (name: string): ObjectId => Number(name.slice('memory-'.length)) as ObjectId

/** The unit's descriptors by name. `replace` removes what had the name before. */
export interface FdStore {
  /**
   * Puts the objects that a keeper begins with. `had`: the names of those that the manager has, where it
   * passed any to this process.
   */
  begin(objects: Iterable<readonly [StoredName, Fd]>, had: ReadonlySet<string>): void
  put(name: StoredName, fd: Fd): void
  replace(name: StoredName, fd: Fd): void
  remove(name: string): void
  /** Resolves when nothing is pending any more. */
  settled(): Promise<void>
}

interface Notice {
  readonly name: string
  readonly fd: Fd | undefined
}

const RETRY_MS = 5
/**
 * A little less than the unit's FileDescriptorStoreMax=. The manager compares each descriptor with all it has
 * (`service_add_fd_store`), so that tens of thousands would keep it busy for minutes.
 */
export const MAX_STORED = 4000

const text = ({ name, fd }: Notice): Buffer =>
  // Without FDPOLL=0 the manager drops a descriptor that hangs up, as one of the pool may while its
  // replacement is pending.
  Buffer.from(fd === undefined ? `FDSTOREREMOVE=1\nFDNAME=${name}` : `FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`)

export interface FdStoreOptions {
  /** Of memory objects. */
  readonly most: number
  /** Called after each change. */
  readonly onUse: (use: StoreUse) => void
}

/**
 * The first `most` memory objects are stored, in the order in which the keeper gets them; when one of these
 * is removed, the next one is stored. `send`: one datagram, or why it cannot go now (EAGAIN) or at all.
 */
export class SystemdFdStore implements FdStore {
  readonly #most: number
  readonly #onUse: (use: StoreUse) => void
  readonly #sendNow: (bytes: Uint8Array, descriptors: readonly Fd[]) => Errno | undefined
  readonly #stored = new Set<string>()
  /** Objects that wait for room, the oldest first. A descriptor stays here no longer than it is open. */
  readonly #unstored = new Map<StoredName, Fd>()
  #pending: Notice[] = []
  #timer: NodeJS.Timeout | undefined
  #whenSettled: (() => void)[] = []

  constructor(
    send: (bytes: Uint8Array, descriptors: readonly Fd[]) => Errno | undefined,
    { most, onUse }: FdStoreOptions,
  ) {
    this.#sendNow = send
    this.#most = most
    this.#onUse = onUse
    this.#reportUse()
  }

  /**
   * What the manager has comes first, so that it keeps its place. What has no place is removed, for a former
   * keeper may have put it there: it would stay there, with its memory, when its file is gone, and take the
   * room of another.
   */
  begin(objects: Iterable<readonly [StoredName, Fd]>, had: ReadonlySet<string>): void {
    const all = [...objects]
    const ordered = [...all.filter(([name]) => had.has(name)), ...all.filter(([name]) => !had.has(name))]
    // A manager that passed no names may have any of them.
    for (const [name] of ordered.slice(this.#most))
      if (had.size === 0 || had.has(name)) this.#notify({ name, fd: undefined })
    for (const [name, fd] of ordered) this.put(name, fd)
  }

  put(name: StoredName, fd: Fd): void {
    // The pool's areas are always stored: no object is of use without them.
    if (isStoredObject(name) && !this.#stored.has(name)) {
      if (this.#stored.size < this.#most) this.#stored.add(name)
      else this.#unstored.set(name, fd)
      this.#reportUse()
    }
    if (!this.#unstored.has(name)) this.#notify({ name, fd })
  }

  replace(name: StoredName, fd: Fd): void {
    this.remove(name)
    this.put(name, fd)
  }

  remove(name: string): void {
    if (this.#unstored.delete(name as StoredName)) {
      this.#reportUse()
      return
    }
    // The descriptor's number may be another file's by the time at which it would be sent.
    this.#pending = this.#pending.filter((notice) => notice.name !== name || notice.fd === undefined)
    this.#notify({ name, fd: undefined })
    if (!this.#stored.delete(name)) return
    const [next] = this.#unstored
    if (next === undefined) this.#reportUse()
    else {
      // Sent after the removal: the manager has room for it by then.
      this.#unstored.delete(next[0])
      this.put(...next)
    }
  }

  settled(): Promise<void> {
    return this.#pending.length === 0
      ? Promise.resolve()
      : new Promise((resolve) => this.#whenSettled.push(resolve))
  }

  #reportUse(): void {
    this.#onUse({ stored: this.#stored.size, unstored: this.#unstored.size, most: this.#most })
  }

  #notify(notice: Notice): void {
    this.#pending.push(notice)
    if (this.#timer === undefined) this.#send()
  }

  #send(): void {
    this.#timer = undefined
    for (let notice = this.#pending[0]; notice !== undefined; notice = this.#pending[0]) {
      const errno = this.#sendNow(text(notice), notice.fd === undefined ? [] : [notice.fd])
      if (errno === EAGAIN) {
        this.#timer = setTimeout(() => this.#send(), RETRY_MS)
        return
      }
      // A retry does not help with any other errno: the keeper has its own copies, as it had without a
      // manager.
      this.#pending.shift()
    }
    for (const resolve of this.#whenSettled.splice(0)) resolve()
  }
}

/** For a keeper that is not the process of a unit. */
const NO_STORE: FdStore = {
  begin: () => {},
  put: () => {},
  replace: () => {},
  remove: () => {},
  settled: () => Promise.resolve(),
}

/** The areas, each of them twice while it is replaced, and some to spare. */
const ROOM_FOR_AREAS = 16

/**
 * How many objects go into the store: what the unit's FileDescriptorStoreMax= leaves, which systemd passes
 * from version 254 on (FDSTORE in the environment).
 */
export function mostStored({ FDSTORE }: NodeJS.ProcessEnv): number {
  const limit = Number(FDSTORE)
  return limit > 0 ? Math.max(0, Math.min(MAX_STORED, limit - ROOM_FOR_AREAS)) : MAX_STORED
}

/** The store of the unit that this process belongs to, by what the manager put into its environment. */
export function systemdFdStore(environment: NodeJS.ProcessEnv, onUse: FdStoreOptions['onUse']): FdStore {
  const address = environment.GUESTMEMFS_UNIT === undefined ? undefined : environment.NOTIFY_SOCKET
  const socket = address === undefined ? undefined : connectDatagram(address)
  if (socket === undefined || socket instanceof Errno) return NO_STORE
  return new SystemdFdStore((bytes, descriptors) => sendMessageNow(socket, bytes, descriptors), {
    most: mostStored(environment),
    onUse,
  })
}
