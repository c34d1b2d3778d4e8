/** Tests of what former reports tell of a blackout to come. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostUpdates } from '../report/host-updates.ts'
import { sampleGuest, sampleReport } from '../report/page/testing/sample-updates.ts'
import type { UpdateReport } from '../report/update-report.ts'
import { expectedBlackout } from './expected-blackout.ts'

const KERNEL = { kind: 'kernel', via: 'kexec' } as const
const WEB = { name: 'web' }

/** One update of the kernel for each, in which `web` was stopped for so long. */
const kernels = (...timesUs: (number | null)[]): UpdateReport[] =>
  timesUs.map((blackoutUs, index) =>
    sampleReport({ startedAtMs: index, vms: [sampleGuest({ blackoutUs }), sampleGuest({ name: 'db' })] }),
  )

function vmmOnly(changes: Partial<ReturnType<typeof sampleGuest>>): UpdateReport {
  const { kernel: _, ...report } = sampleReport()
  return { ...report, kind: 'vmm-only', vms: [sampleGuest(changes)] }
}

test('a guest is expected to be stopped as in its own last five updates', () => {
  const updates = hostUpdates(kernels(9000, 1, 5, 3, 2, 4))
  assert.deepEqual(expectedBlackout(updates, KERNEL, WEB), {
    medianUs: 3,
    longestUs: 5,
    count: 5,
    of: 'guest',
  })
  const two = hostUpdates(kernels(7, 20))
  assert.deepEqual(expectedBlackout(two, KERNEL, WEB), { medianUs: 7, longestUs: 20, count: 2, of: 'guest' })
})

test('one that had no update yet, or was paused in each, as the other guests of the host were', () => {
  const updates = hostUpdates(kernels(null, null))
  const found = { medianUs: 4_000_000, longestUs: 4_000_000, count: 2, of: 'host' }
  assert.deepEqual(expectedBlackout(updates, KERNEL, WEB), found)
  assert.deepEqual(expectedBlackout(updates, KERNEL, { name: 'new' }), found)
  assert.equal(expectedBlackout([], KERNEL, WEB), null)
})

test('updates of another kind tell nothing', () => {
  const { kernel, ...rest } = sampleReport()
  const others = hostUpdates([
    sampleReport({ startedAtMs: 1, kernel: { ...kernel!, via: 'systemctl' } }),
    sampleReport({ startedAtMs: 2, kernel: { ...kernel!, after: null } }),
    sampleReport({ startedAtMs: 3, vms: [sampleGuest({ outcome: 'saved' })] }),
    { ...rest, startedAtMs: 4, kind: 'resume' },
    vmmOnly({ quitFirst: null }),
  ])
  assert.equal(expectedBlackout(others, KERNEL, WEB), null)
  const systemctl = expectedBlackout(others, { kind: 'kernel', via: 'systemctl' }, WEB)
  assert.deepEqual([systemctl?.medianUs, systemctl?.count], [4_000_000, 1])
})

test('an old QEMU that ends first is compared with those that did, and a domain with domains', () => {
  const updates = hostUpdates([
    vmmOnly({ quitFirst: null, blackoutUs: 30 }),
    vmmOnly({ quitFirst: 'a tap', blackoutUs: 900 }),
    vmmOnly({ blackoutUs: 5000 }),
  ])
  const expected = (quitFirst?: string | null) =>
    expectedBlackout(updates, { kind: 'vmm-only' }, quitFirst === undefined ? WEB : { ...WEB, quitFirst })
  assert.deepEqual(
    [expected(null), expected('another'), expected()].map((each) => [each?.longestUs, each?.count]),
    [
      [30, 1],
      [900, 1],
      [5000, 1],
    ],
  )
})
