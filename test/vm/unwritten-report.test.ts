/**
 * Tests of a report that cannot be written: the guests are updated or resumed all the same, the command
 * prints the report, and one line says what is missing.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { bootId } from '../../src/linux/boot-id.ts'
import {
  readUpdateRecord,
  type UpdateRecord,
  writeUpdateRecord,
} from '../../src/liveupdate/kernel/update-record.ts'
import { REPORTS } from '../../src/run/paths.ts'
import { guestmemfs, printedIn } from '../mount/support.ts'
import { mountVmPool, startTinyVm, updateVmm } from './support.ts'

const UNKEPT =
  /^guestmemfs: 'guestmemfs report' will not have this report: \S+ cannot be written \((ENOSPC|EROFS)\): [^\n]+$/

/** Reports alone find no room: the rest of /run takes files. */
function closeReports(t: TestContext, how: 'full' | 'read-only'): void {
  mkdirSync(REPORTS, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', REPORTS])
  t.after(() => execFileSync('umount', [REPORTS]))
  if (how === 'read-only') execFileSync('mount', ['-o', 'remount,ro', REPORTS])
  else assert.throws(() => writeFileSync(join(REPORTS, 'filler'), Buffer.alloc(8192)), { code: 'ENOSPC' })
}

for (const how of ['full', 'read-only'] as const)
  test(`the folder of reports is ${how}: the guest is updated, its report printed, and one line says so`, async (t) => {
    const pool = await mountVmPool(t)
    const { serial } = await startTinyVm(t, pool, 'unkept')
    closeReports(t, how)
    const { status, stderr, report } = await updateVmm(pool)
    assert.match(stderr.trimEnd(), UNKEPT)
    assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'])
    assert.deepEqual(
      readdirSync(REPORTS).filter((name) => name !== 'filler'),
      [],
      'no half of one',
    )
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
  })

test('the folder of reports is full: resume ends the update in every mount, and prints the report of each', async (t) => {
  const pools = [await mountVmPool(t), await mountVmPool(t)]
  const vms = [
    await startTinyVm(t, pools[0] as (typeof pools)[0], 'left', { seed: 1 }),
    await startTinyVm(t, pools[1] as (typeof pools)[0], 'right', { seed: 2 }),
  ]
  // As after a kernel update that was killed before its jump.
  const record: UpdateRecord = {
    format: 1,
    id: 'killed',
    via: 'kexec',
    before: '6.12',
    next: '7.3',
    bootId: bootId(),
    startedAtMs: Date.now(),
    jumpAtMs: Date.now(),
    rtc: null,
    savedAtMs: {},
  }
  for (const { mountPoint } of pools) writeUpdateRecord(mountPoint, record)
  closeReports(t, 'full')
  const { status, stdout, stderr } = await guestmemfs('resume', '--json')
  assert.equal(status, 0, stderr)
  const { reports } = printedIn('resume', stdout)
  const lines = stderr.trimEnd().split('\n')
  assert.deepEqual([reports.length, lines.length], [2, 2], stderr)
  for (const line of lines) assert.match(line, UNKEPT)
  for (const { mountPoint } of pools) assert.equal(readUpdateRecord(mountPoint), undefined)
  for (const { serial } of vms) await serial.moreTicks(1)
})
