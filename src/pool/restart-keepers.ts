/**
 * What an upgrade does with the pools of this machine: each unit is restarted, so that a keeper and a server
 * of the current version take its pool over (docs/guide/versions.md). Guests are not stopped: their memory is
 * mapped.
 * Must not: end a keeper that is no unit's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type PoolSummary, summarisePools } from './pool-summary.ts'
import { isUnitActive, restartUnit } from './systemd-unit.ts'

export interface FormerKeeper {
  readonly pool: string
  readonly pid: number
  /** What an operator types so that the current version takes the pool over. */
  readonly advice: string
}

export interface RestartedKeepers {
  /** Those that are not of the current version after all. */
  readonly former: readonly FormerKeeper[]
  /** Pools whose unit did not come up: their servers serve on. */
  readonly down: readonly string[]
}

/** The record names the next keeper a moment after its unit is up. */
const RECORD_MS = 5000
const PAUSE_MS = 100

/** `current`: the processes of the current version at the time of the call, by their pids. */
export async function restartKeepers(current: () => readonly number[]): Promise<RestartedKeepers> {
  const look = (): FormerKeeper[] => formerKeepers(summarisePools(), current(), isUnitActive)
  const units = look().flatMap(({ pool }) => (isUnitActive(pool) ? pool : []))
  const down = units.filter((pool) => !restartUnit(pool))
  const deadline = performance.now() + RECORD_MS
  for (;;) {
    const former = look().filter(({ pool }) => !down.includes(pool))
    if (!former.some(({ pool }) => units.includes(pool)) || performance.now() > deadline)
      return { former, down }
    await sleep(PAUSE_MS)
  }
}

/** Pure. */
export function formerKeepers(
  pools: readonly Pick<PoolSummary, 'pool' | 'keeperPid' | 'mountPoint'>[],
  current: readonly number[],
  hasActiveUnit: (pool: string) => boolean,
): FormerKeeper[] {
  return pools.flatMap(({ pool, keeperPid, mountPoint }) => {
    if (keeperPid === null || current.includes(keeperPid)) return []
    const byHand = `kill -KILL ${keeperPid}; guestmemfs mount ${pool} ${mountPoint ?? 'DIR'}`
    const advice = hasActiveUnit(pool) ? `systemctl restart guestmemfs@${pool}` : byHand
    return [{ pool, pid: keeperPid, advice }]
  })
}
