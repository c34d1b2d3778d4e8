/** Tests that reports are put together to updates of the host. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostUpdates } from './host-updates.ts'
import { sampleGuest, sampleReport } from './page/testing/sample-updates.ts'

const namesOf = (report: ReturnType<typeof hostUpdates>[number]): string[] =>
  report.guests.map(({ name, outcome }) => `${name} ${outcome}`)

test('the reports of all mounts of one update of the kernel are one update', () => {
  const [update, another] = hostUpdates([
    sampleReport({ mountPoint: '/a', durationUs: 5, vms: [sampleGuest({ name: 'a' })], left: ['x'] }),
    sampleReport({ mountPoint: '/b', durationUs: 7, vms: [sampleGuest({ name: 'b' })], left: ['x', 'y'] }),
  ])
  assert.equal(another, undefined)
  assert.deepEqual(namesOf(update!), ['a updated', 'b updated'])
  assert.deepEqual(update?.left, ['x', 'y'])
  assert.equal(update?.durationUs, 7)
  assert.deepEqual(
    update?.reports.map(({ mountPoint }) => mountPoint),
    ['/a', '/b'],
  )
})

test('a guest that was resumed later by its name counts as it is by then', () => {
  const saved = sampleGuest({ name: 'late', outcome: 'saved' })
  const updates = hostUpdates([
    sampleReport({ vms: [sampleGuest(), saved] }),
    sampleReport({ vms: [{ ...saved, outcome: 'updated' }] }),
  ])
  assert.deepEqual(updates.map(namesOf), [['web updated', 'late updated']])
})

test('other reports are an update each, as are an update and the one that was rolled back before it', () => {
  const { kernel, ...plain } = sampleReport()
  const updates = hostUpdates([
    { ...plain, kind: 'vmm-only' },
    { ...plain, kind: 'vmm-only' },
    { ...plain, kernel: { ...kernel!, after: null } },
    { ...plain, kernel: kernel! },
    sampleReport({ startedAtMs: 5 }),
  ])
  assert.deepEqual(
    updates.map(({ kind, startedAtMs }) => [kind, startedAtMs === 5]),
    [
      ['vmm-only', false],
      ['vmm-only', false],
      ['kernel', false],
      ['kernel', false],
      ['kernel', true],
    ],
  )
  assert.deepEqual(hostUpdates([]), [])
})
