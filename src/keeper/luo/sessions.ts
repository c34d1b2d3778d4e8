/**
 * Live update sessions of one pool, as its keeper holds them: incoming ones, from the former kernel, and
 * outgoing ones, for the next. The server has a copy of each session as long as memory depends on it. Pools
 * whose memory outlives a kernel by itself have no sessions.
 */
import type { HandoverStep } from '../../values/handover-step.ts'
import type { Fd } from '../../values/ids.ts'
import type { KeeperLog } from '../log.ts'
import type { HandoverOrders, ServerProcess } from '../server-process.ts'
import type { PoolHandles } from '../takeover/copy-fds.ts'
import { OutgoingSessions } from './preserve-memfds.ts'
import { IncomingSessions } from './retrieve-memfds.ts'
import { type Luo, LuoThread } from './thread.ts'

export interface PoolSessionsDeps {
  readonly pool: string
  readonly sessionFiles: number
  readonly handles: Pick<PoolHandles, 'table' | 'memfds' | 'luoState'>
  readonly totalBlocks: () => number
  readonly log: KeeperLog
  readonly luo?: Luo
}

export class PoolSessions implements HandoverOrders {
  readonly #outgoing: OutgoingSessions
  readonly #incoming: IncomingSessions | undefined
  #isRetrieving = false
  #server: ServerProcess | undefined

  constructor({ pool, sessionFiles, handles, totalBlocks, log, luo = new LuoThread() }: PoolSessionsDeps) {
    const { table, memfds, luoState } = handles
    const common = {
      table,
      memfds,
      luo,
      unshare: async () => await this.#server?.closeSessions(),
      log: (line: string, details?: Record<string, unknown>) => log.event(line, details),
    }
    this.#outgoing = new OutgoingSessions({
      ...common,
      pool,
      sessionFiles,
      totalBlocks,
      share: (sessions) => this.#server?.shareSessions(sessions),
    })
    if (luoState.kind === 'outgoing') this.#outgoing.adopt(luoState.sessions)
    if (luoState.kind === 'incoming')
      this.#incoming = new IncomingSessions({
        ...common,
        sessions: luoState.sessions,
        incoming: luoState.incoming,
        retrieved: (object, fd) => this.#server?.sendRetrieved(object, fd),
      })
  }

  /** The pool's server is `server` from now on: the keeper sends it copies of all sessions. */
  attach(server: ServerProcess): void {
    this.#server = server
    server.shareSessions([...(this.#incoming?.sessions ?? []), ...this.#outgoing.sessions])
  }

  detach(): void {
    this.#server = undefined
  }

  /**
   * Until every incoming object is retrieved, what the former kernel preserved is in this keeper's sessions
   * alone.
   */
  get isIncoming(): boolean {
    return (this.#incoming?.sessions.length ?? 0) > 0
  }

  /**
   * To be called when the server has read the image, and incoming objects may be sent to it. Further calls
   * have no effect.
   */
  retrieve(): void {
    if (this.#isRetrieving) return
    this.#isRetrieving = true
    void this.#incoming?.retrieveAll()
  }

  preserve(step: HandoverStep, image: Fd | undefined): void {
    this.#outgoing.preserve(step, image)
  }

  unpreserve(): void {
    this.#outgoing.unpreserve()
  }
}
