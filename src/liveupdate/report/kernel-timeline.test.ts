import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UpdateRecord } from '../kernel/update-record.ts'
import { type BootTimes, clockShift, joinTimeline } from './kernel-timeline.ts'
import type { VmTimeline } from './timeline.ts'

/** By the old clock, the update began at second 100 and jumped at 101. */
const RECORD: UpdateRecord = {
  format: 1,
  id: 'x',
  via: 'kexec',
  before: '6.12',
  next: '7.3',
  bootId: 'b',
  startedAtMs: 100_000,
  jumpAtMs: 101_000,
  rtc: { offsetMs: 300, uncertaintyMs: 2 },
  savedAtMs: { a: 100_700 },
}
/** The new clock is 400 ms behind the old one. */
const ARRIVAL: BootTimes = {
  kernelStartMs: 101_600,
  mountStartMs: 103_600,
  servedAtMs: 103_800,
  resumedAtMs: 104_000,
  rtc: { offsetMs: -100, uncertaintyMs: 3 },
}
const RESUMED: VmTimeline = {
  name: 'a',
  ramBytes: 2 ** 30,
  outcome: 'resumed',
  problem: null,
  qemuBefore: '10.0.0',
  qemuAfter: '11.1.0',
  stateBytes: 300_000,
  phases: [
    { phase: 'wait', startUs: -3_500_000, durationUs: 3_510_000 },
    { phase: 'start', startUs: 10_000, durationUs: 100_000 },
    { phase: 'load', startUs: 110_000, durationUs: 20_000 },
    { phase: 'continue', startUs: 130_000, durationUs: 5_000 },
  ],
  blackoutUs: 1,
}

test('two clocks are joined by the RTC that both kernels compared with theirs', () => {
  assert.deepEqual(clockShift(RECORD.rtc, ARRIVAL.rtc), { shiftMs: -400, uncertaintyMs: 5 })
  assert.deepEqual(clockShift(null, ARRIVAL.rtc), { shiftMs: 0, uncertaintyMs: 1000 })
  assert.deepEqual(clockShift(RECORD.rtc, undefined), { shiftMs: 0, uncertaintyMs: 1000 })
})

test("a guest's phases follow each other across the jump, and together are its blackout", () => {
  const joined = joinTimeline(RESUMED, 100_500, RECORD, ARRIVAL)
  assert.deepEqual(joined.phases, [
    { phase: 'save', startUs: 500_000, durationUs: 200_000 },
    { phase: 'freeze', startUs: 700_000, durationUs: 300_000 },
    { phase: 'jump', startUs: 1_000_000, durationUs: 1_000_000 },
    { phase: 'boot', startUs: 2_000_000, durationUs: 2_000_000 },
    { phase: 'mount', startUs: 4_000_000, durationUs: 200_000 },
    { phase: 'wait', startUs: 4_200_000, durationUs: 210_000 },
    { phase: 'start', startUs: 4_410_000, durationUs: 100_000 },
    { phase: 'load', startUs: 4_510_000, durationUs: 20_000 },
    { phase: 'continue', startUs: 4_530_000, durationUs: 5_000 },
  ])
  // Stopped at 100.5, runs at 104.135 by the new clock, which is 104.535 by the old one.
  assert.equal(joined.blackoutUs, 4_035_000)
  assert.equal(joined.outcome, 'updated')
})

test('a guest that could not be started, or did not run before, has no blackout', () => {
  const failed = joinTimeline({ ...RESUMED, outcome: 'saved', phases: [] }, 100_500, RECORD, ARRIVAL)
  assert.deepEqual([failed.outcome, failed.blackoutUs], ['saved', null])
  assert.equal(joinTimeline(RESUMED, undefined, RECORD, ARRIVAL).blackoutUs, null)
})

test('a guest that was already saved keeps its timeline', () => {
  assert.equal(joinTimeline(RESUMED, 99_000, RECORD, ARRIVAL), RESUMED)
})

test('clocks that disagree make no phase negative', () => {
  const early = { ...ARRIVAL, kernelStartMs: 100_400 } // before the jump, within the uncertainty
  const { phases, blackoutUs } = joinTimeline(RESUMED, 100_500, { ...RECORD, rtc: null }, early)
  assert.ok(phases.every(({ durationUs }) => durationUs >= 0))
  assert.equal(phases.find(({ phase }) => phase === 'jump')?.durationUs, 0)
  assert.equal(
    blackoutUs,
    phases.reduce((sum, { durationUs }) => sum + durationUs, 0),
  )
})

test('a guest that went on before its pool was mounted did not wait for the mount', () => {
  const early = {
    ...RESUMED,
    phases: [
      { phase: 'wait', startUs: -3_500_000, durationUs: 3_150_000 },
      { phase: 'launch', startUs: -350_000, durationUs: 50_000 },
      { phase: 'start', startUs: -300_000, durationUs: 70_000 },
    ],
  } as const
  const joined = joinTimeline(early, 100_500, RECORD, ARRIVAL)
  assert.deepEqual(joined.phases.slice(3), [
    { phase: 'boot', startUs: 2_000_000, durationUs: 2_000_000 },
    { phase: 'mount', startUs: 4_000_000, durationUs: 50_000 },
    { phase: 'wait', startUs: 4_050_000, durationUs: 0 },
    { phase: 'launch', startUs: 4_050_000, durationUs: 50_000 },
    { phase: 'start', startUs: 4_100_000, durationUs: 70_000 },
  ])
  assert.equal(joined.blackoutUs, 3_670_000)
})
