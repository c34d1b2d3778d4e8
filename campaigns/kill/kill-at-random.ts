/**
 * Kills a pool's server, its keeper, or both, at random moments, and records which of them ran when: by that
 * a load decides which losses are allowed.
 */
import { statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../src/fs/image/testing/random.ts'
import { count } from '../campaign.ts'
import type { Lifetimes, Span } from './lifetimes.ts'
import type { PoolHost } from './pool-host.ts'

const LONGEST_PAUSE_MS = 400
const LOOK_MS = 20

/** Until `isOver`; each kill is counted in `figures`. */
export async function killAtRandom(
  host: PoolHost,
  random: Random,
  isOver: () => boolean,
  figures: Record<string, number>,
): Promise<Lifetimes> {
  const bothDied: Span[] = []
  const keepers = new KeeperLives(host)
  const answering = new AnsweringServer(host, isOver)
  /**
   * Those that were killed last. As long as the record names one, no other process has taken over from it.
   */
  const dead = { keeper: 0, server: 0 }
  while (!isOver()) {
    await sleep(random.below(LONGEST_PAUSE_MS))
    const [keeper, server] = [host.keeperPid(), host.serverPid()]
    keepers.seen(keeper)
    const choice = random.below(10)
    const startMs = Date.now()
    if (choice < 6 && server !== 0) {
      dead.server = server
      host.kill(server)
      count(figures, 'serverKills')
      if (keeper === dead.keeper) bothDied.push([startMs, Date.now()])
    } else if (!host.canLoseBoth) {
      // Without a service manager its server must hold the pool, and run until another keeper has taken over.
      await host.settled()
      const held = host.keeperPid()
      host.kill(held)
      count(figures, 'keeperKills')
      await host.takenOver(held)
    } else if (choice < 8) {
      // A server that has not answered may not have received all of the pool.
      const isAlone = server === dead.server || server !== answering.pid
      dead.keeper = keeper
      host.kill(keeper)
      keepers.killed(keeper)
      count(figures, 'keeperKills')
      if (isAlone) bothDied.push([startMs, Date.now()])
    } else {
      Object.assign(dead, { keeper, server })
      host.kill(...(random.below(2) === 0 ? [keeper, server] : [server, keeper]).filter((pid) => pid !== 0))
      keepers.killed(keeper)
      count(figures, 'bothKills')
      bothDied.push([startMs, Date.now()])
    }
  }
  // The memory of a region is there without any process.
  return { bothDied: host.memory === 'region' ? [] : bothDied, keepers: keepers.spans }
}

/** The time of each keeper, from when it was first seen in the record. */
class KeeperLives {
  readonly spans: Span[] = []
  #pid = 0
  #sinceMs = 0

  constructor(host: PoolHost) {
    this.seen(host.keeperPid())
  }

  seen(pid: number): void {
    if (pid === this.#pid) return
    this.#pid = pid
    this.#sinceMs = Date.now()
  }

  killed(pid: number): void {
    if (pid === this.#pid && this.#sinceMs > 0) this.spans.push([this.#sinceMs, Date.now()])
    // As long as the record names it, there is none.
    this.#sinceMs = 0
  }
}

/** The server that the record names, once it has answered a request: then it holds all of the pool. */
class AnsweringServer {
  #pid = 0

  constructor(host: PoolHost, isOver: () => boolean) {
    void this.#watch(host, isOver)
  }

  get pid(): number {
    return this.#pid
  }

  async #watch(host: PoolHost, isOver: () => boolean): Promise<void> {
    for (; !isOver(); await sleep(LOOK_MS)) {
      const pid = host.serverPid()
      // The kernel keeps no answer to it: a server has to give one.
      await statfs(host.root()).catch(() => {})
      if (pid === host.serverPid()) this.#pid = pid
    }
  }
}
