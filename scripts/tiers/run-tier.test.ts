/** Tests of which jobs of a tier run beside one another. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { RunProgress } from './run-progress.ts'
import { runTier } from './run-tier.ts'
import type { Job, Tier } from './tiers.ts'

test('a job that bears no other beside it runs after those that run together, by itself', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'run-tier-'))
  const progress = new RunProgress()
  t.after(() => {
    progress.end()
    rmSync(folder, { recursive: true })
  })
  const running = new Set<string>()
  const beside = new Map<string, number>()
  const order: string[] = []
  const jobOf = (path: string, isAlone: boolean): Job => ({
    ...{ path, isAlone },
    run: async () => {
      running.add(path)
      // Each of them has begun by the time that the first one ends.
      await new Promise((resolve) => setTimeout(resolve, 50))
      beside.set(path, running.size - 1)
      running.delete(path)
      order.push(path)
      return { path, events: [], problems: [], output: '', durationMs: 0 }
    },
  })
  const jobs = [jobOf('alone', true), jobOf('one', false), jobOf('two', false)]
  const tier: Tier = { name: 'mount', jobs: () => jobs, parallel: 2, obstacle: async () => undefined }
  await runTier(tier, jobs, { project: folder, folder, progress })
  assert.equal(order.at(-1), 'alone')
  assert.equal(beside.get('alone'), 0)
  assert.equal(beside.get('one'), 1)
})
