/**
 * The resumption of one pool's guests after the jump, or after an update that was killed before it: thaw,
 * start every saved guest at once, join both kernels' times into one report, remove the update's record.
 */
import { bootId, kernelStartMs } from '../../linux/boot-id.ts'
import { readKernelLog } from '../../linux/kernel-log.ts'
import { kernelCommandLine, kernelRelease } from '../../linux/memory-info.ts'
import { measureClockOffset } from '../../linux/rtc.ts'
import { type PoolMount, readVirtual, setFrozen } from '../../pool/pool-view.ts'
import { earlyUnit, unit } from '../../pool/systemd-unit.ts'
import type { VmBatch } from '../for-each-vm.ts'
import { type EarlyRecord, goneOnBefore, readEarlyRecord } from '../guest/early-record.ts'
import { earlyLines } from '../report/early-lines.ts'
import { type BootFacts, type KernelPart, kernelParts } from '../report/kernel-parts.ts'
import { type BootTimes, clockShift, joinTimeline } from '../report/kernel-timeline.ts'
import { readManagerTimes } from '../report/unit-times.ts'
import type { UpdateReport } from '../report/update-report.ts'
import { resumeVms } from '../resume-all.ts'
import { readUpdateRecord, removeUpdateRecord } from './update-record.ts'

/**
 * Whether a kernel update left its record: the next kernel runs, or the update was killed before the jump.
 */
export function hasUpdateRecord(mountPoint: string): boolean {
  return readUpdateRecord(mountPoint) !== undefined
}

/**
 * Starting a guest changes its pool, so this comes first. A pool that the operator froze stays frozen.
 * Errors: UsageError.
 */
export function thawAfterUpdate(mount: PoolMount): void {
  if (hasUpdateRecord(mount.mountPoint)) setFrozen(mount, false)
}

/** The times by which `withParts` finds the kernel's part of a pool's blackout, once all guests run. */
interface PartTimes {
  readonly pool: string
  readonly jumpUs: number
  /** By the next kernel's clock. */
  readonly mountStartUs: number
  /** Of the unit that let guests go on before the mount; undefined: it let none. */
  readonly early: EarlyRecord | undefined
}

export interface ResumedPool {
  readonly report: UpdateReport
  /** undefined: there was no jump. */
  readonly partTimes: PartTimes | undefined
}

/** The pool must be thawed. One guest's failure holds back no other, and is in the report. */
export async function resumePool(pool: string, given: VmBatch): Promise<ResumedPool> {
  const { mountPoint, vms, others = [] } = given
  // A process that has let guests go on itself has their times: it needs no record of the unit's.
  const early = (given.early?.size ?? 0) === 0 ? readEarlyRecord(pool) : undefined
  const batch = early === undefined ? given : { ...given, early: goneOnBefore(early, vms) }
  const record = readUpdateRecord(mountPoint)
  if (record === undefined || record.bootId === bootId())
    return { report: await resumeVms(batch), partTimes: undefined }

  const report = await resumeVms(batch)
  // After the guests are started: it waits for the RTC, and is more exact when the machine is idle.
  const rtc = await measureClockOffset()
  const beganAtMs = early?.beganAtMs ?? Number.POSITIVE_INFINITY
  const boot: BootTimes = { ...bootTimesOf(mountPoint, report.startedAtMs, beganAtMs), rtc }
  const stops = new Map([
    ...vms.map(
      ({ definition: { name, saved } }) => [name, saved?.wasRunning ? saved.stoppedAtMs : undefined] as const,
    ),
    ...others.map(({ name, stoppedAtMs }) => [name, stoppedAtMs] as const),
  ])
  const { shiftMs, uncertaintyMs } = clockShift(record.rtc, boot.rtc)
  const endedAtMs = report.startedAtMs + report.durationUs / 1000 - shiftMs
  const kernel = {
    before: record.before,
    after: kernelRelease().text,
    wanted: record.next,
    via: record.via,
    clockUncertaintyUs: Math.round(uncertaintyMs * 1000),
  }
  return {
    report: {
      ...report,
      kind: 'kernel',
      startedAtMs: Math.round(record.startedAtMs),
      durationUs: Math.round((endedAtMs - record.startedAtMs) * 1000),
      kernel,
      ...(record.left !== undefined && { left: record.left }),
      vms: report.vms.map((vm) => joinTimeline(vm, stops.get(vm.name), record, boot)),
    },
    partTimes: {
      pool,
      jumpUs: Math.round((boot.kernelStartMs - shiftMs - record.jumpAtMs) * 1000),
      mountStartUs: Math.round((boot.mountStartMs - boot.kernelStartMs) * 1000),
      early,
    },
  }
}

/**
 * The reports, with what the kernel and the service manager did meanwhile. Read when all guests run, since
 * reading blocks this process; what cannot be read is left out of the report.
 */
export function withParts(resumed: readonly ResumedPool[]): UpdateReport[] {
  const boot = resumed.some(({ partTimes }) => partTimes !== undefined) ? readBoot() : undefined
  return resumed.map(({ report, partTimes }) =>
    report.kernel === undefined || partTimes === undefined || boot === undefined
      ? report
      : { ...report, kernel: { ...report.kernel, ...factsOf(partTimes, boot) } },
  )
}

type BootAnswers = Pick<BootFacts, 'log' | 'commandLine' | 'manager'>

/** undefined: the kernel's log or the service manager's times cannot be read. */
function readBoot(): BootAnswers | undefined {
  try {
    return { log: readKernelLog(), commandLine: kernelCommandLine(), manager: readManagerTimes() }
  } catch {
    return undefined
  }
}

function factsOf(
  { pool, early, ...times }: PartTimes,
  boot: BootAnswers,
): { parts: KernelPart[]; early?: string[] } {
  const units = boot.manager?.units
  // The first of them that brought guests back.
  const own = [...(early === undefined ? [] : [earlyUnit(pool)]), unit(pool)].find((name) => units?.has(name))
  const lines = earlyLines(early, units?.get(earlyUnit(pool)))
  return {
    parts: kernelParts({ ...times, ...boot, unit: own }),
    ...(lines.length > 0 && { early: lines }),
  }
}

/** The update whose record a mount has; undefined: none. */
export const updateOf = (mountPoint: string): string | undefined => readUpdateRecord(mountPoint)?.id

/**
 * Called when `resume` has tried every guest of the pool, and the report has the record's times. `id`: the
 * update's; the record of another one, which has begun since, stays.
 */
export function removeEndedRecord(mountPoint: string, id: string | undefined): void {
  if (id !== undefined && updateOf(mountPoint) === id) removeUpdateRecord(mountPoint)
}

/** From `guestmemfs.server`. `beganAtMs`: guests were let go on from then on, before the mount. */
function bootTimesOf(mountPoint: string, resumedAtMs: number, beganAtMs: number): Omit<BootTimes, 'rtc'> {
  const { startedAt, askedAtMs } = readVirtual(mountPoint, 'server') as {
    startedAt: string
    askedAtMs: number
  }
  const startMs = kernelStartMs()
  // A server that was replaced since then has a later start: the pool was served when resuming began.
  const servedAtMs = Math.min(Date.parse(startedAt), resumedAtMs)
  return {
    kernelStartMs: startMs,
    mountStartMs: Math.min(askedAtMs, servedAtMs, beganAtMs),
    servedAtMs,
    resumedAtMs,
  }
}
