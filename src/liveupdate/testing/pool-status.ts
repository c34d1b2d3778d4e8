/** What a pool without a fault tells of itself, for tests. */
import type { PoolStatus } from '../../pool/pool-status.ts'

/** Parts of sections take the place of their fields. */
export type StatusPart = {
  readonly [Section in keyof PoolStatus]?: PoolStatus[Section] extends readonly unknown[] | string | null
    ? PoolStatus[Section]
    : Partial<PoolStatus[Section]> | null
}

export function poolStatus({ identity, geometry, health, server, ...others }: StatusPart = {}): PoolStatus {
  return {
    pool: 'p',
    mountPoint: '/mnt/p',
    identity: { name: 'p', uuid: 'u', store: 'memfd', generation: 1, frozen: false, ...identity },
    geometry: {
      ...{ blockBytes: 2 << 20, totalBytes: 64 << 20, totalBlocks: 32, ownedBlocks: 4, cleanBlocks: 28 },
      ...{ dirtyBlocks: 0, badBlocks: 0, freeForGuestRamBlocks: 28, freeForOrdinaryBlocks: 28 },
      ...geometry,
    },
    health: {
      ...{ badBlocks: 0, dirtyBlocks: 0, orphans: 0, orphanBlocks: 0, awaitedFiles: 0, lostFiles: 0 },
      ...health,
    },
    server: {
      ...{ pid: 11, keeperPid: 10, restarts: 0, startedAt: '2026-11-28T19:40:36.089Z', askedAtMs: 0 },
      ...server,
    },
    handover: null,
    orphans: [],
    bad: [],
    vms: [],
    ...(others as Partial<Pick<PoolStatus, 'pool' | 'mountPoint' | 'handover' | 'orphans' | 'vms' | 'bad'>>),
  }
}
