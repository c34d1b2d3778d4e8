/** What is measured of pools. Pure. */
import type { PoolSummary } from '../pool/pool-summary.ts'
import type { MetricFamily, MetricSample } from './exposition.ts'
import type { PoolSections } from './pool-sections.ts'

export interface MeasuredPool extends Pick<PoolSummary, 'pool' | 'state' | 'mountPoint' | 'sizeBytes'> {
  /** undefined: no server answers, or its answer cannot be read. */
  readonly sections: PoolSections | undefined
  /** Requests that are not answered yet; undefined: this process cannot read it. */
  readonly waiting: number | undefined
}

const STATES: readonly PoolSummary['state'][] = [
  ...(['mounted', 'parked', 'unserved', 'held', 'lost', 'unseen', 'unreadable'] as const),
]

export function poolMetrics(pools: readonly MeasuredPool[]): MetricFamily[] {
  const each = (figure: (pool: MeasuredPool) => number | undefined): MetricSample[] =>
    pools.flatMap((pool) => sampleOf(pool, figure(pool)))
  const ofServed = (figure: (sections: PoolSections) => number | undefined): MetricSample[] =>
    each(({ sections }) => sections && figure(sections))
  const gauge = (name: string, help: string, samples: MetricSample[]): MetricFamily => ({
    ...{ name: `guestmemfs_pool_${name}`, type: 'gauge', help, samples },
  })
  return [
    gauge('info', 'What a served pool is: always 1.', pools.flatMap(infoOf)),
    gauge(
      'state',
      'Whether the pool is in this state, as guestmemfs list names them.',
      pools.flatMap(({ pool, state }) =>
        STATES.map((each) => ({ labels: { pool, state: each }, value: Number(each === state) })),
      ),
    ),
    gauge(
      'size_bytes',
      'Size of the pool.',
      each(({ sizeBytes }) => sizeBytes),
    ),
    gauge(
      'memory_bytes',
      'Memory of a served pool by its use: used by files; clean, for the next file; dirty, which the server has still to zero; bad, which has poisoned pages.',
      pools.flatMap(memoryOf),
    ),
    gauge(
      'frozen',
      'Whether modifications are refused.',
      ofServed(({ pool }) => Number(pool.frozen)),
    ),
    gauge(
      'orphans',
      'Files without a name that the server has still to evict: processes have them open or mapped, or it is under way.',
      ofServed(({ health }) => health.orphans),
    ),
    gauge(
      'orphan_bytes',
      'Memory of files without a name.',
      ofServed(({ health, geometry }) => health.orphanBlocks * geometry.blockBytes),
    ),
    gauge(
      'awaited_files',
      'Files whose memory is still to come from the former kernel.',
      ofServed(({ health }) => health.awaitedFiles),
    ),
    gauge(
      'lost_files',
      'Files whose memory is lost.',
      ofServed(({ health }) => health.lostFiles),
    ),
    gauge(
      'unstored_files',
      "Files that are not in the service manager's store, and are lost if keeper and server die at once.",
      ofServed(({ health }) => health.unstoredFiles),
    ),
    gauge(
      'requests_waiting',
      'Requests to the mount that are not answered yet.',
      each(({ waiting }) => waiting),
    ),
    gauge(
      'server_start_time_seconds',
      'When the server that serves the pool began, in seconds since the epoch.',
      ofServed(({ server }) => secondsOf(server.startedAt)),
    ),
    {
      name: 'guestmemfs_pool_server_restarts_total',
      type: 'counter',
      help: "Servers of the pool that have ended since its keeper's start.",
      samples: ofServed(({ server }) => server.restarts),
    },
  ]
}

const sampleOf = ({ pool }: MeasuredPool, value: number | undefined): MetricSample[] =>
  value === undefined ? [] : [{ labels: { pool }, value }]

function infoOf({ pool, mountPoint, sections }: MeasuredPool): MetricSample[] {
  if (sections === undefined) return []
  const { uuid, store } = sections.pool
  return [{ labels: { pool, uuid, store, mountpoint: mountPoint ?? '' }, value: 1 }]
}

function memoryOf({ pool, sections }: MeasuredPool): MetricSample[] {
  if (sections === undefined) return []
  const { blockBytes, ownedBlocks, cleanBlocks, dirtyBlocks, badBlocks } = sections.geometry
  const blocks = { used: ownedBlocks, clean: cleanBlocks, dirty: dirtyBlocks, bad: badBlocks }
  return Object.entries(blocks).map(([state, count]) => ({
    labels: { pool, state },
    value: count * blockBytes,
  }))
}

/** `date`: as of Date.toISOString. undefined: it is something else. */
function secondsOf(date: string): number | undefined {
  const ms = Date.parse(date)
  return Number.isNaN(ms) ? undefined : ms / 1000
}
