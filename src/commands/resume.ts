/** Owns `guestmemfs resume`: saved VMs go on, in all mounts or in one. */
import type { Command } from 'commander'
import { print } from '../cli/print.ts'
import { showProgress, timeoutOption } from '../cli/progress.ts'
import {
  forgetUpdate,
  hasUpdateRecord,
  resumePool,
  thawAfterUpdate,
} from '../liveupdate/kernel/resume-pool.ts'
import { isSuccess, keepReport } from '../liveupdate/report/update-report.ts'
import { chooseSaved } from '../liveupdate/resume-all.ts'
import { type VmMount, vmMounts } from '../liveupdate/vm-mounts.ts'
import { findBinary } from '../qemu/binary.ts'
import { readVms, type Vm } from '../qemu/vm-list.ts'
import { lockUpdates } from '../run/update-lock.ts'
import { UsageError } from '../values/errors.ts'
import { printReport } from './report.ts'

interface Options {
  readonly mount?: string
  readonly qemu?: string
  readonly timeoutMs: string
  readonly json?: true
}

/** As typed. */
const TIMEOUT_MS = '60000'

export function registerResume(program: Command): void {
  program
    .command('resume')
    .description('start VMs that lie saved: after an update that failed, or in the next kernel')
    .argument('[name...]', 'default: all that are saved')
    .option('--mount <dir>', 'those of this mount point or pool only')
    .option('--qemu <path>', 'the QEMU to start; default: what each VM was started with')
    .option('--timeout-ms <n>', 'for each step of each VM', TIMEOUT_MS)
    .option('--json', 'print the report as JSON, times in microseconds; one line for each mount')
    .action(async (names: string[], options: Options) => {
      process.exitCode = await resume(names, options)
    })
}

/** For a mount that has just been made. Returns the exit status. */
export const resumeMount = (mountPoint: string, json: true | undefined): Promise<number> =>
  resume([], { mount: mountPoint, timeoutMs: TIMEOUT_MS, ...(json && { json }) })

/** A mount with something to do: guests to start, or an update to end. */
interface Arrival {
  readonly mount: VmMount
  readonly vms: readonly Vm[]
}

async function resume(names: readonly string[], options: Options): Promise<number> {
  const timeoutMs = timeoutOption(options.timeoutMs)
  const nextQemu = options.qemu && findBinary(options.qemu, process.cwd(), process.env.PATH ?? '')
  const { arrivals, problems } = findArrivals(names, options.mount)
  for (const problem of problems) process.stderr.write(`guestmemfs: ${problem}\n`)
  if (arrivals.length === 0 && !options.json) print('no VM is saved there')

  const unlock = arrivals.some(({ mount }) => hasUpdateRecord(mount.mountPoint)) ? lockUpdates() : () => {}
  for (const { mount } of arrivals) thawAfterUpdate(mount)
  const all = arrivals.flatMap(({ vms }) => vms.map(({ definition }) => definition.name))
  const { onPhase, onDone, until } = showProgress(all, options.json === true)
  const work = arrivals.map(({ mount, vms }) =>
    resumePool({ mountPoint: mount.mountPoint, vms, nextQemu, timeoutMs, onPhase, onDone }),
  )
  const reports = await until(Promise.all(work))
  for (const report of reports) {
    keepReport(report)
    printReport(report, options.json === true)
  }
  // A few by name are not all: the next ones still want the update's times.
  if (names.length === 0) for (const { mount } of arrivals) forgetUpdate(mount.mountPoint)
  unlock()
  return reports.every(isSuccess) && problems.length === 0 ? 0 : 1
}

/** Errors (UsageError): no such mount, none at all, a name that nobody has. */
function findArrivals(
  names: readonly string[],
  named: string | undefined,
): { arrivals: readonly Arrival[]; problems: readonly string[] } {
  const mounts = vmMounts(named)
  if (mounts.length === 0)
    throw new UsageError("no pool is mounted: mount one with 'guestmemfs mount guestmemfs DIR'")
  const lists = mounts.map((mount) => ({ mount, ...readVms(mount.recorded) }))
  const chosen = new Set(
    chooseSaved(
      lists.flatMap(({ vms }) => vms),
      names,
    ),
  )
  return {
    arrivals: lists
      .map(({ mount, vms }) => ({ mount, vms: vms.filter((vm) => chosen.has(vm)) }))
      .filter(({ mount, vms }) => vms.length > 0 || hasUpdateRecord(mount.mountPoint)),
    problems: lists.flatMap((list) => list.problems),
  }
}
