/**
 * Owns a pool's way from one kernel to the next, on the keeper's side: what arrives, what leaves, and that every session is held twice, by
 * this process and by its server, for as long as memory hangs on it. Does nothing for pools whose memory outlives a kernel by itself.
 */
import type { HandOverStep } from '../../stores/store.ts'
import type { Fd } from '../../values/ids.ts'
import { Arrival } from './incoming.ts'
import { HandOver } from './outgoing.ts'
import type { Estate } from '../takeover/copy-fds.ts'
import type { KeeperLog } from '../log.ts'
import { type Luo, LuoThread } from './thread.ts'
import type { Orders, ServerProcess } from '../server-process.ts'

export interface PassageOptions {
  readonly pool: string
  readonly sessionFiles: number
  readonly estate: Pick<Estate, 'table' | 'custody' | 'travel'>
  readonly totalBlocks: () => number
  readonly log: KeeperLog
  readonly luo?: Luo
}

export class Passage implements Orders {
  readonly #handOver: HandOver
  readonly #arrival: Arrival | undefined
  #hasBegun = false
  #server: ServerProcess | undefined

  constructor({ pool, sessionFiles, estate, totalBlocks, log, luo = new LuoThread() }: PassageOptions) {
    const { table, custody, travel } = estate
    const common = {
      table,
      custody,
      luo,
      unshare: async () => await this.#server?.closeSessions(),
      note: (line: string, details?: Record<string, unknown>) => log.event(line, details),
    }
    this.#handOver = new HandOver({
      ...common,
      pool,
      sessionFiles,
      totalBlocks,
      share: (sessions) => this.#server?.shareSessions(sessions),
    })
    if (travel.kind === 'leaving') this.#handOver.inherit(travel.sessions)
    if (travel.kind === 'arriving')
      this.#arrival = new Arrival({
        ...common,
        sessions: travel.sessions,
        awaited: travel.awaited,
        tell: (memory, fd) => this.#server?.bring(memory, fd),
      })
  }

  /** This server is the one that serves; what it must have at once is on its way to it. */
  attach(server: ServerProcess): void {
    this.#server = server
    server.shareSessions([...(this.#arrival?.sessions ?? []), ...this.#handOver.sessions])
  }

  /** Memory that the former kernel handed over is ours alone until all of it is back. */
  get isArriving(): boolean {
    return (this.#arrival?.sessions.length ?? 0) > 0
  }

  detach(): void {
    this.#server = undefined
  }

  /** The image was read: what is awaited may come. */
  begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    void this.#arrival?.run()
  }

  handOver(step: HandOverStep, image: Fd | undefined): void {
    this.#handOver.step(step, image)
  }

  takeBack(): void {
    this.#handOver.takeBack()
  }
}
