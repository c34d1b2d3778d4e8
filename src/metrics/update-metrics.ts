/** What is measured of the last live update of each mount. Pure. */
import { VM_OUTCOMES, type VmTimeline } from '../liveupdate/report/timeline.ts'
import { isIntended, type UpdateReport } from '../liveupdate/report/update-report.ts'
import type { MetricFamily, MetricSample } from './exposition.ts'

const US_PER_SECOND = 1_000_000

/** `reports`: one of each mount. */
export function updateMetrics(reports: readonly UpdateReport[]): MetricFamily[] {
  const gauge = (
    name: string,
    help: string,
    samplesOf: (report: UpdateReport) => MetricSample[],
  ): MetricFamily => ({
    name: `guestmemfs_last_update_${name}`,
    type: 'gauge',
    help,
    samples: reports.flatMap((report) => samplesOf(report).map((sample) => at(report, sample))),
  })
  return [
    gauge('info', "What the mount's last live update was: always 1.", infoOf),
    gauge('start_time_seconds', 'When it began, in seconds since the epoch.', ({ startedAtMs }) =>
      one(startedAtMs / 1000),
    ),
    gauge('duration_seconds', 'How long it took.', ({ durationUs }) => one(durationUs / US_PER_SECOND)),
    gauge(
      'success',
      'Whether every guest was updated or resumed, none was left, and the kernel was replaced if it was to be.',
      (report) => one(Number(isIntended(report))),
    ),
    gauge('clock_uncertainty_seconds', 'How far the clocks of the two kernels may disagree.', ({ kernel }) =>
      kernel === undefined ? [] : one(kernel.clockUncertaintyUs / US_PER_SECOND),
    ),
    gauge('vms', 'Guests by their outcome.', outcomeCounts),
    gauge('vm_outcome', 'The outcome of the guest: always 1.', ({ vms }) =>
      vms.map(({ name, outcome }) => ({ labels: { vm: name, outcome }, value: 1 })),
    ),
    gauge(
      'vm_blackout_seconds',
      'From the stop of the virtual CPUs of the guest to their start.',
      ({ vms }) => vms.flatMap(blackoutOf),
    ),
    gauge('vm_phase_seconds', 'How long the guest was in this phase of its blackout.', ({ vms }) =>
      vms.flatMap(phasesOf),
    ),
  ]
}

const one = (value: number): MetricSample[] => [{ labels: {}, value }]

const at = ({ mountPoint }: UpdateReport, { labels, value }: MetricSample): MetricSample => ({
  labels: { mountpoint: mountPoint, ...labels },
  value,
})

function infoOf({ kind, kernel }: UpdateReport): MetricSample[] {
  if (kernel === undefined) return [{ labels: { kind }, value: 1 }]
  const { before, after, wanted, via } = kernel
  const kernels = { kernel_before: before, kernel_after: after ?? before, kernel_wanted: wanted }
  return [{ labels: { kind, ...kernels, via }, value: 1 }]
}

function outcomeCounts({ vms, left = [] }: UpdateReport): MetricSample[] {
  const counts = VM_OUTCOMES.map((outcome) => ({
    labels: { outcome },
    value: vms.filter((vm) => vm.outcome === outcome).length,
  }))
  return [...counts, { labels: { outcome: 'left' }, value: left.length }]
}

const blackoutOf = ({ name, blackoutUs }: VmTimeline): MetricSample[] =>
  blackoutUs === null ? [] : [{ labels: { vm: name }, value: blackoutUs / US_PER_SECOND }]

/** A guest that was rolled back had some phases twice. */
function phasesOf({ name, phases }: VmTimeline): MetricSample[] {
  const sums = new Map<string, number>()
  for (const { phase, durationUs } of phases) sums.set(phase, (sums.get(phase) ?? 0) + durationUs)
  return [...sums].map(([phase, us]) => ({ labels: { vm: name, phase }, value: us / US_PER_SECOND }))
}
