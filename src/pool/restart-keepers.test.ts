import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PoolSummary } from './pool-summary.ts'
import { poolsInUse } from './pools-in-use.ts'
import { formerKeepers } from './restart-keepers.ts'

const pool = (name: string, more: Partial<PoolSummary> = {}): PoolSummary => ({
  pool: name,
  state: 'mounted',
  mountPoint: `/mnt/${name}`,
  sizeBytes: 4096,
  freeBytes: 4096,
  keeperPid: 10,
  serverPid: 11,
  ...more,
})

test('a keeper of another version is named with what brings the current one', () => {
  const pools = [
    pool('a'),
    pool('b', { keeperPid: 20 }),
    pool('c', { keeperPid: 30, mountPoint: null }),
    pool('d', { keeperPid: null }),
  ]
  assert.deepEqual(
    formerKeepers(pools, [10], (name) => name === 'b'),
    [
      { pool: 'b', pid: 20, advice: 'systemctl restart guestmemfs@b' },
      { pool: 'c', pid: 30, advice: 'kill -KILL 30; guestmemfs mount c DIR' },
    ],
  )
})

test('pools that need the program: mounted, or held by a process', () => {
  const pools = [
    pool('a'),
    pool('b', { state: 'parked', mountPoint: null }),
    pool('c', { state: 'held' }),
    pool('d', { state: 'lost' }),
    pool('e', { state: 'lost' }),
    pool('f', { state: 'unreadable', mountPoint: null }),
  ]
  const mounts = ['a', 'e'].map((name) => ({ pool: name, mountPoint: `/mnt/${name}` }))
  assert.deepEqual(poolsInUse(pools, mounts), [
    'a (mounted on /mnt/a)',
    'b (parked)',
    'c (held)',
    'e (mounted on /mnt/e)',
  ])
  assert.deepEqual(poolsInUse([], []), [])
})
