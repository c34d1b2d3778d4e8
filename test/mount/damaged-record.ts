/** Pools with a damaged record, for the tests of which command finds their memory all the same. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { PoolSummary } from '../../src/pool/pool-summary.ts'
import { POOLS } from '../../src/run/paths.ts'
import { Mapper } from './mapper.ts'
import {
  beforeUnmount,
  guestmemfs,
  kill,
  mountTestPool,
  type Outcome,
  printed,
  type TestPool,
  until,
} from './support.ts'

const MIB = 1024 * 1024

export const recordFile = (pool: string): string => join(POOLS, `${pool}.json`)

/** What damages a record. */
export const DAMAGES: Readonly<Record<string, (file: string, first: string) => void>> = {
  'is missing': (file) => fs.rmSync(file),
  'is empty': (file) => fs.writeFileSync(file, ''),
  'is half': (file) => fs.truncateSync(file, Math.floor(fs.statSync(file).size / 2)),
  'is of another version': (file) => fs.writeFileSync(file, '{"format":99}'),
  'names processes that have died': (file, first) => fs.writeFileSync(file, first),
  'is of a region, from before': (file, first) =>
    fs.writeFileSync(
      file,
      JSON.stringify({ ...JSON.parse(first), source: { kind: 'dax', region: null }, mountPoint: '/nowhere' }),
    ),
}

export interface Stage {
  readonly pool: TestPool
  readonly keeper: number
  readonly server: number
  readonly mapper: Mapper
}

/** A pool with a file and guest RAM, whose server and keeper are not those of its first record. */
export async function stage(t: TestContext, damage: (file: string, first: string) => void): Promise<Stage> {
  const pool = await mountTestPool(t, { size: '64M' })
  // The command finds the pool at the end, whatever its record is.
  beforeUnmount(t, () => guestmemfs('umount', '--discard', pool.pool))
  fs.writeFileSync(pool.path('text'), 'kept')
  const mapper = await Mapper.start(t, pool.path('ram'), 8 * MIB, { create: true })
  await mapper.store(5, 55)
  const first = fs.readFileSync(recordFile(pool.pool), 'utf8')
  const former = pool.serverPid()
  await kill(former)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
  await until('the record names the next server', () => ![0, former].includes(pool.serverPid()))
  const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
  damage(recordFile(pool.pool), first)
  return { pool, keeper, server, mapper }
}

export const listed = async (pool: string): Promise<PoolSummary | undefined> =>
  (await printed('list')).pools.find((each) => each.pool === pool)

export const succeeded = ({ stderr, status }: Outcome): void => assert.deepEqual([stderr, status], ['', 0])
