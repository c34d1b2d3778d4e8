/** Tests of figures from a guest's report. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { perGib, phaseMs, phaseSamples } from './phases.ts'

const update = (sizeMib: number, saveUs: number) => ({
  sizeMib,
  report: {
    phases: [
      { phase: 'save', startUs: 0, durationUs: saveUs },
      { phase: 'load', startUs: saveUs, durationUs: 2500 },
    ] as const,
    blackoutUs: saveUs + 9000,
  },
})

test('phases are milliseconds, summed over those that are wanted; one that did not happen is nothing', () => {
  assert.equal(phaseMs(update(256, 1500), ['save', 'load', 'preserve']), 4)
  assert.equal(phaseMs(update(256, 1500), ['preserve']), 0)
})

test('samples have one value for each update, by phase', () => {
  assert.deepEqual(phaseSamples([update(256, 1000), update(256, 3000)]), {
    blackoutMs: [10, 12],
    saveMs: [1, 3],
    loadMs: [2.5, 2.5],
  })
})

test('what grows is printed per GiB', () => {
  const updates = [update(256, 1000), update(512, 2000), update(1024, 4000)]
  assert.ok(Math.abs(perGib(updates, (each) => phaseMs(each, ['save'])) - 4) < 1e-9)
  assert.ok(Math.abs(perGib(updates, (each) => phaseMs(each, ['load']))) < 1e-9)
})
