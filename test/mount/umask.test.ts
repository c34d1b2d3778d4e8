/**
 * The umask of a mount's keeper and server: never the caller's, which would close or open folders to others.
 */
import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { test } from 'node:test'
import { POOLS, RUN } from '../../src/run/paths.ts'
import { cannotMount, guestmemfsAsStranger, mountTestPool } from './support.ts'

for (const umask of [0o000, 0o077]) {
  test(`a pool mounted with umask ${umask.toString(8)} is as any other`, { skip: cannotMount }, async (t) => {
    const before = process.umask(umask)
    t.after(() => process.umask(before))
    const pool = await mountTestPool(t, { size: '64M' })
    for (const pid of [pool.keeperPid(), pool.serverPid()])
      assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Umask:\t0022$/m)
    for (const folder of [RUN, POOLS]) assert.equal(statSync(folder).mode & 0o7777, 0o755)
    const { stdout } = await guestmemfsAsStranger('list')
    assert.match(stdout, new RegExp(`^${pool.pool} +mounted`, 'm'))
  })
}
