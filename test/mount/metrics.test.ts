/** Tests of `guestmemfs metrics` with a pool that is mounted, parked, and without a server that answers. */
import assert from 'node:assert/strict'
import { truncateSync, writeFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { type ReadSeries, readExposition } from '../../src/metrics/testing/read-exposition.ts'
import { cannotMount, guestmemfs, mountTestPool } from './support.ts'

const skip = cannotMount

/** What is printed of one pool: its series by name and state. */
async function seriesOf(pool: string): Promise<Map<string, number>> {
  const { status, stdout, stderr } = await guestmemfs('metrics')
  assert.deepEqual([status, stderr], [0, ''])
  const ofPool = ({ labels }: ReadSeries): boolean => labels.pool === pool
  return new Map(
    readExposition(stdout)
      .filter(ofPool)
      .map(({ name, labels, value }) => [
        `${name.replace('guestmemfs_', '')} ${labels.state ?? ''}`.trim(),
        value,
      ]),
  )
}

const mounted = (t: TestContext) => mountTestPool(t)

test('the figures of a mounted pool follow what is done to it', { skip }, async (t) => {
  const { pool, path } = await mounted(t)
  const before = await seriesOf(pool)
  assert.equal(before.get('pool_state mounted'), 1)
  assert.equal(before.get('pool_frozen'), 0)
  assert.equal(before.get('pool_server_restarts_total'), 0)
  assert.equal(before.get('vms running'), 0)
  const startedS = before.get('pool_server_start_time_seconds') ?? 0
  assert.ok(Math.abs(Date.now() / 1000 - startedS) < 600, String(startedS))
  writeFileSync(path('file'), '')
  truncateSync(path('file'), 4 * 2 ** 20)
  await guestmemfs('freeze', pool)
  const after = await seriesOf(pool)
  assert.equal(after.get('pool_frozen'), 1)
  assert.ok((after.get('pool_memory_bytes used') ?? 0) > (before.get('pool_memory_bytes used') ?? 0))
  const size = after.get('pool_size_bytes')
  const parts = ['used', 'clean', 'dirty', 'bad'].map((use) => after.get(`pool_memory_bytes ${use}`) ?? 0)
  assert.equal(
    parts.reduce((sum, bytes) => sum + bytes, 0),
    size,
  )
  await guestmemfs('thaw', pool)
})

test('a parked pool has its state and its size', { skip }, async (t) => {
  const { pool, path, mountPoint } = await mounted(t)
  writeFileSync(path('file'), 'kept')
  assert.equal((await guestmemfs('umount', mountPoint)).status, 0)
  const series = await seriesOf(pool)
  assert.equal(series.get('pool_state parked'), 1)
  assert.ok((series.get('pool_size_bytes') ?? 0) > 0)
  assert.equal(series.get('pool_frozen'), undefined)
})
