/**
 * A live update orchestrator for tests of its callers: sessions hold real memfds, by name and token, and
 * `kexec` makes outgoing sessions incoming. The testbed's scenarios show that the kernel's orchestrator
 * behaves so.
 */
import { close, duplicateAbove } from '../../../linux/descriptors.ts'
import { memfdCreate } from '../../../linux/memory.ts'
import { EEXIST, EINVAL, ENOENT, ENOSPC, type Errno } from '../../../values/errno.ts'
import type { Fd } from '../../../values/ids.ts'
import type { Luo } from '../thread.ts'

interface Session {
  readonly name: string
  readonly files: Map<bigint, Fd>
}

export class FakeLuo implements Luo {
  /** Files that one session takes. */
  readonly capacity: number
  readonly outgoing = new Map<Fd, Session>()
  readonly incoming = new Map<string, Session>()
  readonly retrieved = new Map<Fd, Session>()
  readonly finished: string[] = []
  readonly closed: Fd[] = []
  /** Answered once each by the next call of that name. */
  readonly failures: { preserve: (Errno | undefined)[]; retrieve: (Errno | undefined)[]; finish: Errno[] } = {
    preserve: [],
    retrieve: [],
    finish: [],
  }

  constructor(capacity = Number.POSITIVE_INFINITY) {
    this.capacity = capacity
  }

  async create(name: string): Promise<Fd | Errno> {
    if ([...this.outgoing.values()].some((session) => session.name === name)) return EEXIST
    const fd = memfdCreate(`session ${name}`, { sealable: false })
    this.outgoing.set(fd, { name, files: new Map() })
    return fd
  }

  async find(name: string): Promise<Fd | Errno> {
    const session = this.incoming.get(name)
    if (session === undefined) return ENOENT
    if ([...this.retrieved.values()].includes(session)) return EINVAL
    const fd = memfdCreate(`session ${name}`, { sealable: false })
    this.retrieved.set(fd, session)
    return fd
  }

  async preserve(session: Fd, fd: Fd, token: bigint): Promise<Errno | undefined> {
    const { files } = this.outgoing.get(session) as Session
    const failure = this.failures.preserve.shift()
    if (failure) return failure
    if (files.has(token)) return EEXIST
    if (files.size >= this.capacity) return ENOSPC
    files.set(token, duplicateAbove(fd, 3))
    return undefined
  }

  async retrieve(session: Fd, token: bigint): Promise<Fd | Errno> {
    const failure = this.failures.retrieve.shift()
    if (failure) return failure
    const fd = this.retrieved.get(session)?.files.get(token)
    return fd === undefined ? ENOENT : duplicateAbove(fd, 3)
  }

  async finish(session: Fd): Promise<Errno | undefined> {
    const failure = this.failures.finish.shift()
    if (failure) return failure
    const found = this.retrieved.get(session) as Session
    this.finished.push(found.name)
    found.files.clear()
    return undefined
  }

  async close(fd: Fd): Promise<void> {
    this.closed.push(fd)
    this.outgoing.delete(fd)
    close(fd)
  }

  /** Resolves when calls that were answered with ETIMEDOUT are over. */
  unsettled: Promise<void> = Promise.resolve()

  async settled(): Promise<void> {
    await this.unsettled
  }

  /** The next kernel: outgoing sessions become incoming. */
  kexec(): void {
    this.incoming.clear()
    for (const session of this.outgoing.values()) this.incoming.set(session.name, session)
    this.outgoing.clear()
    this.retrieved.clear()
  }
}
