import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { getxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import type { LoadResult } from './metadata-load.ts'
import { assertClean, cannotMount, guestmemfs, mountTestPool, type TestPool } from './support.ts'

const LOAD = fileURLToPath(new URL('metadata-load.ts', import.meta.url))
const DEATH = fileURLToPath(new URL('die-at-system-calls.ts', import.meta.url))
const ROUNDS = 100
const DEATHS = 60

function getxattrText(path: string, name: string): string {
  const value = getxattr(path, name)
  if (value instanceof Errno) throw new Error(`${name} of ${path}: ${value}`)
  return Buffer.from(value).toString('utf8')
}

function startLoad(directory: string, seed: number) {
  mkdirSync(directory)
  const child: ChildProcess = spawn(process.execPath, [LOAD, directory, String(seed)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const output = text(child.stdout as NodeJS.ReadableStream)
  return async (): Promise<LoadResult> => {
    child.stdin?.end()
    if (child.exitCode === null) await once(child, 'exit')
    assert.equal(child.exitCode, 0, `the load with seed ${seed} saw something wrong`)
    return JSON.parse(await output) as LoadResult
  }
}

test(`a server killed ${ROUNDS} times under a metadata load loses and repeats nothing`, {
  skip: cannotMount,
  timeout: 240_000,
}, async (t) => {
  const pool = await mountTestPool(t)
  const seed = Date.now() & 0x7fffffff
  t.diagnostic(`seeds ${seed} and ${seed + 1}`)
  const loads = [startLoad(pool.path('a'), seed), startLoad(pool.path('b'), seed + 1)]

  let kills = 0
  for (let last = 0; kills < ROUNDS; ) {
    const pid = pool.serverPid()
    if (pid === last) {
      await sleep(2)
      continue
    }
    // From its very start on: a server may also die while it asks the kernel for unanswered requests.
    await sleep(Math.random() * 40)
    process.kill(pid, 'SIGKILL')
    last = pid
    kills++
  }

  const results = await Promise.all(loads.map((stop) => stop()))
  const operations = results.reduce((sum, result) => sum + result.operations, 0)
  t.diagnostic(`${operations} operations through ${kills} kills`)
  assert.ok(operations > kills, 'the load was under way while the server was killed')
  await assertClean(pool.pool)
})

test('files of a parked pool are found again by the next mount', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const pool = await mountTestPool(t)
  const stop = startLoad(pool.path('load'), 7)
  await sleep(500)
  await stop()
  const listing = async () => (await guestmemfs('dump', pool.pool)).stdout
  const before = JSON.parse(await listing()).state
  assert.equal((await guestmemfs('umount', pool.mountPoint)).status, 0)
  // The next mount may be on another mount point.
  const elsewhere = mkdtempSync(`${pool.mountPoint}-again-`)
  assert.equal((await guestmemfs('mount', pool.pool, elsewhere)).status, 0)
  assert.deepEqual(JSON.parse(await listing()).state, before)
  assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
  rmdirSync(elsewhere)
})

/** A first server that dies before it serves has no pool to lose: its mount says so, and is made again. */
async function mountWithDeaths(t: TestContext): Promise<TestPool> {
  for (;;) {
    try {
      return await mountTestPool(t, { environment: { NODE_OPTIONS: `--import ${DEATH}` } })
    } catch (error) {
      assert.match(String(error), /its server died \(SIGKILL\)/)
    }
  }
}

test('a server that dies at the boundaries of its system calls loses and repeats nothing', {
  skip: cannotMount,
  timeout: 240_000,
}, async (t) => {
  const pool = await mountWithDeaths(t)
  const seed = Date.now() & 0x7fffffff
  t.diagnostic(`seeds ${seed} and ${seed + 1}`)
  const loads = [startLoad(pool.path('a'), seed), startLoad(pool.path('b'), seed + 1)]
  const restarts = () => JSON.parse(getxattrText(pool.mountPoint, 'guestmemfs.server')).restarts as number
  while (restarts() < DEATHS) await sleep(100)
  const results = await Promise.all(loads.map((stop) => stop()))
  t.diagnostic(
    `${results.reduce((sum, { operations }) => sum + operations, 0)} operations through ${restarts()} deaths`,
  )
  await assertClean(pool.pool)
})
