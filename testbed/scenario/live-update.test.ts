/** Tests of what counts as an update of the host's kernel. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmTimeline } from '../../src/liveupdate/report/timeline.ts'
import type { KernelChange, UpdateReport } from '../../src/liveupdate/report/update-report.ts'
import { expectUpdated } from './live-update.ts'
import type { Stage } from './scenario.ts'

const NEXT = { release: '7.3', vmlinuz: '/vmlinuz', initramfs: '/initramfs' }
const PHASES = [
  { phase: 'jump', startUs: 0, durationUs: 3000 },
  { phase: 'boot', startUs: 3000, durationUs: 2001 },
] as const
const UPDATED: VmTimeline = {
  ...{ name: 'guest', ramBytes: 1, outcome: 'updated', problem: null, stateBytes: 1 },
  ...{ qemuBefore: '10.0.2', qemuAfter: '10.0.2', phases: PHASES, blackoutUs: 5000 },
}
const PARTS = [
  { part: 'jump', durationUs: 3000, advice: null },
  { part: 'kernel to init', durationUs: 1500, advice: null },
  { part: '/init to mount', durationUs: 500, advice: null },
]
const KERNEL: KernelChange = {
  ...{ before: '6.12', after: '7.3', wanted: '7.3', via: 'kexec' },
  ...{ clockUncertaintyUs: 0, parts: PARTS },
}

const OF_MOUNT = { format: 1, kind: 'kernel', mountPoint: '/mnt', startedAtMs: 0, durationUs: 1 }

/** A stage of a host that runs `release`, and has `report` of its last update. */
const stageOf = (report: Pick<UpdateReport, 'kernel' | 'vms'>, release = '7.3'): Stage =>
  ({
    host: {
      boots: [{ release: '6.12' }, { release }],
      run: async (script: string) =>
        script === 'uname -r' ? release : `${JSON.stringify({ reports: [{ ...OF_MOUNT, ...report }] })}\n`,
    },
    next: NEXT,
    keep: () => {},
    expect: (name: string, value: unknown, wanted: unknown) =>
      wanted instanceof RegExp
        ? assert.match(String(value), wanted, name)
        : assert.deepEqual(value, wanted, name),
  }) as unknown as Stage

test('an update is its guests, each updated with a blackout, and the kernel that was wanted', async () => {
  const report = { kernel: KERNEL, vms: [UPDATED] }
  assert.deepEqual(await expectUpdated(stageOf(report), ['guest']), { ...OF_MOUNT, ...report })
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
  await refused([...PARTS, { part: 'another', durationUs: 2000, advice: null }])
})
