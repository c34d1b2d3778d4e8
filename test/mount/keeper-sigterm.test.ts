/**
 * SIGTERM to the keeper of a unit: it ends only when a running server serves, which then holds all of the
 * pool; before that the keeper is the pool's only holder, and stays.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { processStartTime } from '../../src/linux/process.ts'
import { logPath } from '../../src/run/pool-record.ts'
import { cannotMount, guestmemfs, mountTestPool, type TestPool, until } from './support.ts'

const options = { skip: cannotMount, timeout: 120_000 }

async function unitPool(t: TestContext): Promise<{ pool: TestPool; keeper: number; server: number }> {
  const pool = await mountTestPool(t, { size: '64M', environment: { GUESTMEMFS_UNIT: 'test' } })
  fs.writeFileSync(pool.path('text'), 'kept')
  return { pool, keeper: pool.keeperPid(), server: pool.serverPid() }
}

const childrenOf = (pid: number): number[] =>
  fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').map(Number)

/** A parent waits until its child has executed its program. */
const isExecuted = (pid: number): boolean =>
  /server\/main/.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'))

/** The keeper ends when another server than `former` serves, not before, and no file is lost. */
async function assertEndsWithServer(pool: TestPool, keeper: number, former: number): Promise<void> {
  await until('the keeper ends', () => processStartTime(keeper) === undefined)
  const server = pool.serverPid()
  assert.notEqual(server, former)
  assert.notEqual(processStartTime(server), undefined, 'no server lives')
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
  assert.match((await guestmemfs('fsck', pool.pool)).stdout, /clean|note/)
  const { stdout, stderr } = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.match(stdout, /a new one took over/, stderr)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
}

test('its server is dead', options, async (t) => {
  const { pool, keeper, server } = await unitPool(t)
  process.kill(keeper, 'SIGSTOP')
  process.kill(server, 'SIGKILL')
  await until('the server is dead', () => processStartTime(server) === undefined)
  process.kill(keeper, 'SIGTERM')
  process.kill(keeper, 'SIGCONT')
  await assertEndsWithServer(pool, keeper, server)
})

test('its next server is started and does not serve yet', options, async (t) => {
  const { pool, keeper, server } = await unitPool(t)
  process.kill(server, 'SIGKILL')
  const next = (): number | undefined =>
    childrenOf(keeper).find((pid) => pid > 0 && pid !== server && isExecuted(pid))
  let starting: number | undefined
  for (const deadline = performance.now() + 10_000; starting === undefined; starting = next()) {
    assert.ok(performance.now() < deadline, 'no other server was started')
    await sleep(1)
  }
  process.kill(starting, 'SIGSTOP')
  process.kill(keeper, 'SIGTERM')
  await sleep(500)
  assert.notEqual(processStartTime(keeper), undefined, 'the keeper ended, and nothing held the pool')
  process.kill(starting, 'SIGCONT')
  await assertEndsWithServer(pool, keeper, server)
})

test('no server starts: the keeper stays, and logs it', options, async (t) => {
  const { pool, keeper } = await unitPool(t)
  assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
  process.kill(keeper, 'SIGTERM')
  const said = () => /SIGTERM ignored/.test(fs.readFileSync(logPath(pool.pool), 'utf8'))
  await until('the keeper answers the signal', said, 20_000)
  assert.notEqual(processStartTime(keeper), undefined)
  assert.match((await guestmemfs('mount', pool.pool, pool.mountPoint)).stdout, /found again/)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
})

test('its server serves: it ends, and the server goes on', options, async (t) => {
  const { pool, keeper, server } = await unitPool(t)
  process.kill(keeper, 'SIGTERM')
  await until('the keeper ends', () => processStartTime(keeper) === undefined)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
  assert.notEqual(processStartTime(server), undefined)
  const { stdout } = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.match(stdout, /a new one took over/)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
})
