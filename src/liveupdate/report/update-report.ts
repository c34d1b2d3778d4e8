/**
 * The report of a live update: its format, the last one of each mount in /run, and its table for the
 * operator.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { errnoOfNodeError } from '../../linux/library.ts'
import { replaceFile } from '../../run/atomic-file.ts'
import { parseRecord } from '../../run/parse-record.ts'
import { ensureFolder, REPORTS, whyUnwritable } from '../../run/paths.ts'
import { formatDuration } from '../../values/duration.ts'
import { EACCES } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import { formatSize } from '../../values/size.ts'
import { PHASES, type Phase, VM_OUTCOMES, type VmTimeline } from './timeline.ts'

const KernelChangeSchema = v.object({
  before: v.string(),
  after: v.pipe(v.nullable(v.string()), v.description('The kernel that runs now; null: there was no jump.')),
  wanted: v.string(),
  via: v.picklist(['kexec', 'systemctl']),
  clockUncertaintyUs: v.pipe(
    v.number(),
    v.description('How far the clocks of the two kernels may disagree.'),
  ),
  parts: v.exactOptional(
    v.pipe(
      v.array(v.object({ part: v.string(), durationUs: v.number(), advice: v.nullable(v.string()) })),
      v.description('What the kernel and the service manager did from the jump to the mount, in order.'),
    ),
  ),
  early: v.exactOptional(
    v.pipe(
      v.array(v.string()),
      v.description('Why guests that need nothing of the mount did not go on before it, one line each.'),
    ),
  ),
})
export type KernelChange = Readonly<v.InferOutput<typeof KernelChangeSchema>>

const TimelineSchema: v.GenericSchema<unknown, VmTimeline> = v.object({
  name: v.string(),
  ramBytes: v.number(),
  outcome: v.picklist(VM_OUTCOMES),
  problem: v.pipe(v.nullable(v.string()), v.description('What went wrong, and how to go on.')),
  qemuBefore: v.string(),
  qemuAfter: v.nullable(v.string()),
  stateBytes: v.number(),
  phases: v.array(v.object({ phase: v.picklist(PHASES), startUs: v.number(), durationUs: v.number() })),
  blackoutUs: v.pipe(
    v.nullable(v.number()),
    v.description('From the stop of its virtual CPUs to their start; null: it was paused, or does not run.'),
  ),
  quitFirst: v.exactOptional(
    v.pipe(
      v.nullable(v.string()),
      v.description('Why its old QEMU had to end first; null: the next one was started first.'),
    ),
  ),
})

export const ReportSchema = v.object({
  format: v.literal(1),
  kind: v.picklist(['vmm-only', 'resume', 'kernel']),
  mountPoint: v.string(),
  startedAtMs: v.number(),
  durationUs: v.number(),
  vms: v.array(TimelineSchema),
  kernel: v.exactOptional(v.pipe(KernelChangeSchema, v.description('Of an update of the kernel.'))),
  left: v.exactOptional(
    v.pipe(
      v.array(v.string()),
      v.description('Guests that the operator left (--leave): they ended with the former kernel.'),
    ),
  ),
})
export type UpdateReport = Readonly<v.InferOutput<typeof ReportSchema>>

/**
 * Replaces the mount's last report. For root alone: its lines name files, whatever directories they are in.
 * Returns why it could not, as one line: the guests run all the same, so a full /run must not stop the
 * caller.
 */
export function keepReport(report: UpdateReport): string | undefined {
  const path = join(REPORTS, `${encodeURIComponent(report.mountPoint)}.json`)
  try {
    ensureFolder(REPORTS)
    replaceFile(path, JSON.stringify(report), 0o600)
    return undefined
  } catch (error) {
    return error instanceof UsageError ? error.message : whyUnwritable(path, errnoOfNodeError(error))
  }
}

/**
 * The last one of a mount, or of any; undefined: there was none since the machine started. Errors: UsageError
 * for a user other than root.
 */
export function lastReport(mountPoint: string | undefined): UpdateReport | undefined {
  return keptReports()
    .filter((report) => mountPoint === undefined || report.mountPoint === mountPoint)
    .sort((a, b) => b.startedAtMs - a.startedAtMs)[0]
}

/** The last one of each mount. Errors: as of `lastReport`. */
export function keptReports(): UpdateReport[] {
  if (!existsSync(REPORTS)) return []
  const names = readdirSync(REPORTS).filter((name) => name.endsWith('.json'))
  return names.flatMap((name) => parseReport(readReport(join(REPORTS, name))) ?? [])
}

function readReport(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errnoOfNodeError(error) !== EACCES) throw error
    throw forRootAlone()
  }
}

/** What a user who is not root is told. */
export const forRootAlone = (): UsageError =>
  new UsageError('reports of live updates are for root: run it with sudo')

/** undefined: it is cut off, or in another version's format. */
export const parseReport = (text: string): UpdateReport | undefined => parseRecord(ReportSchema, text)

/** Whether every guest runs, in its next QEMU. */
export function isSuccess({ vms }: UpdateReport): boolean {
  return vms.every(({ outcome }) => outcome === 'updated' || outcome === 'resumed')
}

/** The same, and the kernel was replaced if it was to be, and no guest was left. */
export const isIntended = (report: UpdateReport): boolean =>
  isSuccess(report) && report.kernel?.after !== null && (report.left ?? []).length === 0

/** A header, and one row for each VM. Phases that no VM had have no column. */
export function reportTable({ vms }: { readonly vms: readonly VmTimeline[] }): {
  header: string[]
  rows: string[][]
} {
  const phases = PHASES.filter((phase) => vms.some((vm) => phaseUs(vm, phase) !== undefined))
  const rows = vms.map((vm) => [
    vm.name,
    formatSize(vm.ramBytes),
    vm.outcome,
    vm.qemuAfter === null || vm.qemuAfter === vm.qemuBefore
      ? vm.qemuBefore
      : `${vm.qemuBefore} → ${vm.qemuAfter}`,
    ...phases.map((phase) => formatDuration(phaseUs(vm, phase))),
    formatDuration(vm.blackoutUs ?? undefined),
  ])
  const titles = phases.map((phase) => phase.toUpperCase())
  return { header: ['VM', 'RAM', 'OUTCOME', 'QEMU', ...titles, 'BLACKOUT'], rows }
}

/** A guest that was rolled back had some phases twice. */
function phaseUs({ phases }: VmTimeline, wanted: Phase): number | undefined {
  const times = phases.filter(({ phase }) => phase === wanted)
  return times.length === 0 ? undefined : times.reduce((sum, { durationUs }) => sum + durationUs, 0)
}

/** The line above the table; undefined: there is none. */
export function reportTitle({ kernel }: UpdateReport): string | undefined {
  if (kernel === undefined) return undefined
  const { before, after, wanted, via, clockUncertaintyUs } = kernel
  if (after === null) return `kernel ${before}: not replaced by ${wanted}`
  const doubt = formatDuration(clockUncertaintyUs)
  return `kernel ${before} → ${after} by ${via}; times across the jump are known to within ${doubt}`
}
