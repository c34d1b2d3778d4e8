/** Tests of the six lines of `status`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Overview } from '../liveupdate/overview.ts'
import type { UpdateReport } from '../liveupdate/report/update-report.ts'
import { poolStatus } from '../liveupdate/testing/pool-status.ts'
import { fail, warn } from '../values/finding.ts'
import { statusLines } from './print-status.ts'

const SINCE = Date.UTC(2026, 10, 28, 19, 40, 36)
const PROCESS = { pid: 10, version: '0.1.0-abc', startedAtMs: SINCE }
const OVERVIEW: Overview = {
  status: poolStatus(),
  keeper: PROCESS,
  server: { ...PROCESS, pid: 11 },
  guests: [],
  update: null,
  findings: [],
  problems: [],
}

const linesOf = (more: Partial<Overview> = {}): string[] => statusLines({ ...OVERVIEW, ...more })

test('a pool without a fault, without guests, that was never updated', () => {
  assert.deepEqual(linesOf(), [
    'pool       p on /mnt/p, memfd, 8M of 64M used',
    'health     good',
    'served by  keeper 10 (0.1.0-abc, since 2026-11-28 19:40:36 UTC) and server 11 (0.1.0-abc, since 2026-11-28 19:40:36 UTC)',
    'guests     none',
    'update     none since this machine started',
    'to do      nothing',
  ])
})

test('there are six lines, whatever is wrong, and the last one says what to do', () => {
  const findings = [
    warn('health', 'frozen', 'thaw it'),
    fail('health', '2 files are lost', 'delete them'),
    fail('guests', 'a: saved', 'resume it'),
    warn('health', 'no advice'),
  ]
  const lines = linesOf({ findings })
  assert.equal(lines.length, 6)
  assert.equal(lines[1], 'health     frozen; 2 files are lost; no advice')
  assert.equal(lines[5], 'to do      thaw it; delete them; resume it')
})

test('guests are counted and named by state, of many the first ones', () => {
  const running = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => ({ name, state: 'running' as const }))
  const guests = [...running, { name: 'old', state: 'saved' as const }]
  assert.equal(linesOf({ guests })[3], 'guests     7 running (a, b, c, d, e, 2 more), 1 saved (old)')
})

test('the last update: of what, how many guests, how long, and whether all is well', () => {
  const vm = { blackoutUs: 33_812, problem: null }
  const report = { kind: 'vmm-only', startedAtMs: SINCE, vms: [vm, { ...vm, blackoutUs: 1_000 }] }
  const update = (more: object = {}) =>
    linesOf({ update: { ...report, ...more } as unknown as UpdateReport })[4]
  assert.equal(update(), 'update     2026-11-28 19:40:36 UTC, QEMU alone, 2 guests, longest blackout 33.8 ms')
  const kernel = { before: '6.12', after: '7.3', wanted: '7.3' }
  assert.match(update({ kind: 'kernel', kernel }) ?? '', / UTC, kernel 6\.12 → 7\.3, 2 guests, longest/)
  assert.match(update({ kernel: { ...kernel, after: null } }) ?? '', /kernel 6\.12 → 7\.3, not replaced, /)
  const saved = { blackoutUs: null, problem: 'its RAM is kept' }
  assert.match(update({ vms: [saved] }) ?? '', /, 1 guest, 1 with a problem: see 'guestmemfs report'$/)
})

test('a user who is not root, a keeper that died, a server that was started again', () => {
  const server = { ...PROCESS, version: null, startedAtMs: null }
  const status = poolStatus({ server: { restarts: 2 } })
  const lines = linesOf({ guests: null, keeper: null, server, status })
  assert.deepEqual(lines.slice(2, 5), [
    'served by  no keeper and server 10 (version unknown, 2 restarts)',
    'guests     shown to root alone',
    'update     shown to root alone',
  ])
})
