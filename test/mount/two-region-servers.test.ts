/**
 * Two keepers that copied the lock of one region from the same former server: both hold that lock, and still
 * one server alone gets the region, by a lock of its own.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { processStartTime } from '../../src/linux/process.ts'
import { lockPath } from '../../src/run/pool-record.ts'
import { assertRefused, cannotMountRegion, mountRegion, use } from './region-pool.ts'
import { kill, shell, until } from './support.ts'

const options = { skip: cannotMountRegion, timeout: 120_000 }

const COPIED = "    const isServed = isLive && previousHolder?.role !== 'store'\n"

/** The servers of the program in `folder`. */
const serversOf = (folder: string): number[] =>
  shell(`pgrep -f '${folder}/[s]rc/server/main' || true`).split('\n').filter(Boolean).map(Number)

test('two keepers with copies of one region lock never have two servers', options, async (t) => {
  const { tree, folder, ...pool } = await mountRegion(t)
  const goesOn = await use(t, pool)
  const former = pool.serverPid()
  // Each keeper waits with all that it copied.
  const gate = `${folder}/gate`
  const waits = `
    const fs = process.getBuiltinModule('node:fs')
    fs.writeFileSync('${folder}/copied-' + process.pid, '')
    while (!fs.existsSync('${gate}')) await sleep(20)
`
  tree.change('src/keeper/keeper.ts', COPIED, COPIED + waits)
  await kill(pool.keeperPid())
  const copied = () => fs.readdirSync(folder).filter((name) => name.startsWith('copied-')).length
  const first = tree.run('mount', pool.pool, pool.mountPoint)
  await until('the first keeper has copied all', () => copied() === 1)
  // The mount lock is a file, which any process that may write in /run can remove.
  fs.rmSync(lockPath(pool.pool))
  const second = tree.run('mount', pool.pool, pool.mountPoint)
  await until('the second keeper has copied all', () => copied() === 2)
  fs.writeFileSync(gate, '')

  const outcomes = await Promise.all([first, second])
  assert.equal(processStartTime(former), undefined)
  const [adopted, refused] = outcomes.toSorted((one, other) => one.status - other.status)
  assert.deepEqual([adopted?.stderr, adopted?.status], ['', 0])
  assert.ok(refused)
  assertRefused(refused, /was taken over by another keeper: process \d+ serves it/)
  await until('the other keeper has ended', () => serversOf(tree.folder).length === 1)
  await goesOn()
  const server = pool.serverPid()
  assert.deepEqual(serversOf(tree.folder), [server])

  await t.test('and the next takeover finds the region locked, and no lock that is a copy', async () => {
    await kill(pool.keeperPid())
    const again = await tree.run('mount', pool.pool, pool.mountPoint)
    assert.deepEqual([again.stderr, again.status], ['', 0])
    assert.equal(processStartTime(server), undefined)
    await goesOn()
  })
})
