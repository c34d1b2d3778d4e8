/**
 * Tests that many processes at once do not disturb each other: each finds its own work done, and no block is
 * left over.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { LoadResult } from './metadata-load.ts'
import { assertClean, beforeUnmount, cannotMount, freeBlocks, mountTestPool, until } from './support.ts'

const LOAD = fileURLToPath(new URL('metadata-load.ts', import.meta.url))
const PROCESSES = 32
/** Each of one block: all of them must fit. */
const FILES_EACH = 12
const BUSY_MS = 5000

test(`${PROCESSES} processes at once`, { skip: cannotMount, timeout: 120_000 }, async (t) => {
  const pool = await mountTestPool(t, { size: `${PROCESSES * (FILES_EACH + 1) * 2}M` })
  const before = fs.statfsSync(pool.mountPoint)
  const seed = Date.now() & 0x7fffffff
  t.diagnostic(`seeds from ${seed}`)
  const loads = Array.from({ length: PROCESSES }, (_, index) => {
    const directory = pool.path(`load-${index}`)
    fs.mkdirSync(directory)
    const child = spawn(process.execPath, [LOAD, directory, String(seed + index), String(FILES_EACH)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    beforeUnmount(t, async () => {
      child.kill('SIGKILL')
      await ended
    })
    return { child, ended, output: text(child.stdout) }
  })
  // All of them have begun, and then work for a while.
  await until(
    'every process has begun',
    () => {
      const directories = fs.readdirSync(pool.mountPoint)
      return directories.every((name) => fs.readdirSync(pool.path(name)).length > 0)
    },
    60_000,
  )
  await sleep(BUSY_MS)
  for (const { child } of loads) child.stdin.end()
  const results = await Promise.all(
    loads.map(async ({ ended, output }, index) => {
      const [status] = await ended
      assert.equal(status, 0, `the load with seed ${seed + index} saw something wrong`)
      return JSON.parse(await output) as LoadResult
    }),
  )
  assert.ok(results.every(({ operations }) => operations > 0))
  t.diagnostic(`${results.reduce((sum, { operations }) => sum + operations, 0)} operations`)

  await assertClean(pool.pool)
  for (const name of fs.readdirSync(pool.mountPoint)) fs.rmSync(pool.path(name), { recursive: true })
  await until('every block is back', () => freeBlocks(pool.mountPoint) === before.bfree)
  assert.deepEqual(fs.statfsSync(pool.mountPoint), before)
  await assertClean(pool.pool)
})
