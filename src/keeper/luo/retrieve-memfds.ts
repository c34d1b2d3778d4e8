/**
 * Incoming live update sessions: the keeper retrieves one memfd after the other and sends it to the server,
 * which serves requests already. It finishes the sessions when every object is retrieved or lost: a session
 * that ends earlier frees what was not retrieved.
 */
import type { DescriptorTable } from '../../stores/memfd/descriptor-table.ts'
import { ENOENT, Errno } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { MemfdTable } from '../memfd-table.ts'
import { tokenOf } from './manifest.ts'
import type { Luo } from './thread.ts'

export interface IncomingObject {
  readonly object: ObjectId
  /** The session it is in; undefined: any of the sessions. */
  readonly session: Fd | undefined
}

export interface IncomingDeps {
  readonly sessions: readonly Fd[]
  /** In the order in which they are retrieved. The table has the state `incoming` for each. */
  readonly incoming: readonly IncomingObject[]
  readonly memfds: MemfdTable
  readonly table: DescriptorTable
  readonly luo: Luo
  /** Called for each object: it is retrieved, and in `memfds`; without a descriptor: it is lost. */
  readonly retrieved: (object: ObjectId, fd: Fd | undefined) => void
  /** Resolves when the server holds no copy of a session any more. */
  readonly unshare: () => Promise<void>
  readonly log: (line: string, details?: Record<string, unknown>) => void
}

export class IncomingSessions {
  readonly #options: IncomingDeps
  #sessions: readonly Fd[]

  constructor(options: IncomingDeps) {
    this.#options = options
    this.#sessions = options.sessions
  }

  /** Those that are not finished yet. */
  get sessions(): readonly Fd[] {
    return this.#sessions
  }

  /**
   * Never rejects for an object that cannot be retrieved: that one is lost, and the others are retrieved all
   * the same.
   */
  async retrieveAll(): Promise<void> {
    const { incoming, log } = this.#options
    let lost = 0
    for (const each of incoming) if (!(await this.#retrieveOne(each))) lost++
    await this.#finish()
    log('the memory of the former kernel is retrieved', { memories: incoming.length - lost, lost })
  }

  async #retrieveOne({ object, session }: IncomingObject): Promise<boolean> {
    const { memfds, table, retrieved, log } = this.#options
    const fd = await this.#retrieve(object, session)
    if (fd instanceof Errno) {
      table.setState(object, 'lost')
      retrieved(object, undefined)
      log(`memory object ${object} was handed over and could not be retrieved: ${fd}`)
      return false
    }
    // The keeper holds it first: an object that was sent to the server must not be lost with that server.
    memfds.hold([object], [fd])
    table.setState(object, 'present')
    retrieved(object, fd)
    return true
  }

  async #retrieve(object: ObjectId, session: Fd | undefined): Promise<Fd | Errno> {
    const places = session === undefined ? this.#sessions : [session]
    let result: Fd | Errno = ENOENT
    for (const place of places) {
      result = await this.#options.luo.retrieve(place, tokenOf(object))
      if (result !== ENOENT) break
    }
    return result
  }

  /**
   * A session whose finish the kernel refuses stays open until this process ends, because closing it is an
   * implicit finish.
   */
  async #finish(): Promise<void> {
    const { luo, unshare, log } = this.#options
    const sessions = this.#sessions
    // First, or the keeper would send copies again to a server that starts meanwhile. The server's answer
    // also confirms that it received all objects.
    this.#sessions = []
    await unshare()
    const refused: Fd[] = []
    for (const session of sessions) {
      const failed = await luo.finish(session)
      if (failed === undefined) continue
      refused.push(session)
      log(
        `a live update session cannot be finished: ${failed}; the pool cannot be handed over again before that`,
      )
    }
    for (const session of sessions) if (!refused.includes(session)) await luo.close(session)
    this.#sessions = refused
  }
}
