/** Tests of what counts as an update of the host's kernel. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expectUpdated, type UpdateReport } from './live-update.ts'
import type { Stage } from './scenario.ts'

const NEXT = { release: '7.3', vmlinuz: '/vmlinuz', initramfs: '/initramfs' }
const PHASES = [
  { phase: 'jump', durationUs: 3000 },
  { phase: 'boot', durationUs: 2001 },
]
const UPDATED = { name: 'guest', outcome: 'updated', problem: null, phases: PHASES, blackoutUs: 5000 }
const PARTS = [
  { part: 'jump', durationUs: 3000 },
  { part: 'kernel to init', durationUs: 1500 },
  { part: '/init to mount', durationUs: 500 },
]
const KERNEL = { before: '6.12', after: '7.3', clockUncertaintyUs: 0, parts: PARTS }

/** A stage of a host that runs `release`, and has `report` of its last update. */
const stageOf = (report: UpdateReport, release = '7.3'): Stage =>
  ({
    host: { boots: [{ release: '6.12' }, { release }], json: async () => report, run: async () => release },
    next: NEXT,
    keep: () => {},
    expect: (name: string, value: unknown, wanted: unknown) =>
      wanted instanceof RegExp
        ? assert.match(String(value), wanted, name)
        : assert.deepEqual(value, wanted, name),
  }) as unknown as Stage

test('an update is its guests, each updated with a blackout, and the kernel that was wanted', async () => {
  const report = { kernel: KERNEL, vms: [UPDATED] }
  assert.equal(await expectUpdated(stageOf(report), ['guest']), report)
})

test('another outcome, a problem, no blackout, a guest too few or too many is none', async () => {
  const refused = async (vms: UpdateReport['vms']): Promise<void> =>
    assert.rejects(expectUpdated(stageOf({ kernel: KERNEL, vms }), ['guest']), /report, guests/)
  await refused([{ ...UPDATED, outcome: 'rolled-back' }])
  await refused([{ ...UPDATED, problem: 'its RAM is kept' }])
  await refused([{ ...UPDATED, blackoutUs: null }])
  await refused([{ ...UPDATED, blackoutUs: 0 }])
  await refused([])
  await refused([UPDATED, { ...UPDATED, name: 'other' }])
})

test('another kernel than the wanted one, or a report of another jump, is none', async () => {
  const refused = async (kernel: UpdateReport['kernel'], release?: string): Promise<void> => {
    const report = { vms: [UPDATED], ...(kernel && { kernel }) }
    await assert.rejects(expectUpdated(stageOf(report, release), ['guest']), /report, kernels/)
  }
  await refused(undefined)
  await refused({ ...KERNEL, before: '6.11' })
  await refused({ ...KERNEL, after: '6.12' })
  await refused(KERNEL, '6.12')
})

test('parts that are not all of the jump and the boot are none', async () => {
  const refused = async (parts: typeof PARTS): Promise<void> => {
    const report = { kernel: { ...KERNEL, parts }, vms: [UPDATED] }
    await assert.rejects(expectUpdated(stageOf(report), ['guest']), /report, parts/)
  }
  await refused([])
  await refused(PARTS.slice(0, 2))
  await refused([...PARTS, { part: 'another', durationUs: 2000 }])
})
