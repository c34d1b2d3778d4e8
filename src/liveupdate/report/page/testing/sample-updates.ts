/** Reports for tests of the page: an update of a kernel with two guests, and what may be wrong with one. */
import { GIB } from '../../../../values/units.ts'
import { type HostUpdate, hostUpdates } from '../../host-updates.ts'
import type { VmTimeline } from '../../timeline.ts'
import type { UpdateReport } from '../../update-report.ts'

/** Stopped half a second after the beginning; the jump is at 1 s, and the guest runs at 4.5 s. */
export const sampleGuest = (changes: Partial<VmTimeline> = {}): VmTimeline => ({
  name: 'web',
  ramBytes: GIB,
  outcome: 'updated',
  problem: null,
  qemuBefore: '10.0.2',
  qemuAfter: '11.1.0',
  stateBytes: 300_000,
  phases: [
    { phase: 'save', startUs: 500_000, durationUs: 200_000 },
    { phase: 'freeze', startUs: 700_000, durationUs: 300_000 },
    { phase: 'jump', startUs: 1_000_000, durationUs: 1_000_000 },
    { phase: 'boot', startUs: 2_000_000, durationUs: 2_000_000 },
    { phase: 'mount', startUs: 4_000_000, durationUs: 200_000 },
    { phase: 'load', startUs: 4_200_000, durationUs: 300_000 },
  ],
  blackoutUs: 4_000_000,
  ...changes,
})

export const sampleReport = (changes: Partial<UpdateReport> = {}): UpdateReport => ({
  format: 1,
  kind: 'kernel',
  mountPoint: '/mnt/pool',
  startedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  durationUs: 5_000_000,
  vms: [sampleGuest(), sampleGuest({ name: 'db', blackoutUs: 4_100_000 })],
  kernel: {
    before: '6.12.1',
    after: '7.3.4',
    wanted: '7.3.4',
    via: 'kexec',
    clockUncertaintyUs: 9500,
    parts: [
      { part: 'jump', durationUs: 1_000_000, advice: 'devices stop' },
      { part: 'kernel to init', durationUs: 900_000, advice: 'shorter with quiet' },
      { part: 'initrd', durationUs: 700_000, advice: null },
      { part: 'units to mount', durationUs: 400_000, advice: null },
    ],
  },
  ...changes,
})

export function sampleUpdate(changes: Partial<UpdateReport> = {}): HostUpdate {
  const [update] = hostUpdates([sampleReport(changes)])
  if (update === undefined) throw new RangeError('no update')
  return update
}
