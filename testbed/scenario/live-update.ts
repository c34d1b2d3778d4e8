/** Live updates of the host's kernel by one command, and their report in the next kernel. */
import type { VmTimeline } from '../../src/liveupdate/report/timeline.ts'
import type { UpdateReport } from '../../src/liveupdate/report/update-report.ts'
import type { Host } from '../machine/host.ts'
import type { GuestLog } from './guest-log.ts'
import { printed } from './pool.ts'
import type { BootChoice, Stage } from './scenario.ts'

/** Words that name a kernel's files. */
export const filesOf = ({ vmlinuz, initramfs }: BootChoice): string =>
  `--kernel ${vmlinuz} --initrd ${initramfs}`

/**
 * The default is for a real host: in the emulated one, where other programs had the machine, guests were not
 * saved in time, and rightly continued.
 */
const PATIENCE = '--patience 60s'

/**
 * The command to update to `kernel`, with the command line of the running kernel. `program`: of a former
 * tree, which does not have each option.
 */
export const liveUpdate = (kernel: BootChoice, program?: string): string =>
  [
    `${program ?? 'guestmemfs'} live-update ${filesOf(kernel)} --reuse-cmdline`,
    ...(program === undefined ? [PATIENCE] : []),
  ].join(' ')

/** Inside: waits until a kernel is loaded for kexec, the first step of an update. */
export const WHEN_LOADED = 'until [ $(cat /sys/kernel/kexec_loaded) = 1 ]; do sleep 0.1; done'

/** A dry run of `command` must find no error. */
export async function expectReady({ host, phase, expect }: Stage, command: string): Promise<void> {
  const plan = await phase('dry run', () => host.run(`${command} --dry-run 2>&1`))
  expect('plan', plan, /^ready: the preflight passed$/m)
}

export interface ReportChoice {
  readonly what?: string
  /** The kernel that is there now; default: the next. */
  readonly to?: BootChoice
  /** The pool that the report is of; default: that of the last one. */
  readonly pool?: string
  /** Those of the guests that their owner had paused: nothing was measured. */
  readonly paused?: readonly string[]
}

/** `pool`: as of `ReportChoice`. Throws where there is none. */
export async function lastReport(host: Host, pool = ''): Promise<UpdateReport> {
  const { reports } = await printed(host, 'report', pool)
  if (reports[0] === undefined) throw new Error('there is no report of an update')
  return reports[0] as UpdateReport
}

/**
 * The kernel changed from the former one to another, and exactly the guests `names` were updated, each with a
 * blackout that was measured.
 */
export async function expectUpdated(
  { host, next, keep, expect }: Stage,
  names: readonly string[],
  { what = 'report', to = next, pool, paused = [] }: ReportChoice = {},
): Promise<UpdateReport> {
  const report = await lastReport(host, pool)
  keep(what, report)
  const { kernel, vms } = report
  const found = vms.map(({ name, outcome, problem, blackoutUs }) => {
    const blackout = blackoutUs !== null && blackoutUs > 0 ? 'a blackout' : 'no blackout'
    return `${name}: ${problem ?? outcome}, ${blackout}`
  })
  const wanted = names.map(
    (name) => `${name}: updated, ${paused.includes(name) ? 'no blackout' : 'a blackout'}`,
  )
  expect(`${what}, guests`, found.toSorted(), wanted.toSorted())
  const former = host.boots.at(-2)?.release
  expect(
    `${what}, kernels`,
    [kernel?.before, kernel?.after, await host.run('uname -r')],
    [former, to.release, to.release],
  )
  const stopped = vms.find(({ name }) => !paused.includes(name))
  const known = ['jump', 'boot'].map((phase) => phaseUs(stopped, phase)).reduce((a, b) => a + b, 0)
  const parts = kernel?.parts ?? []
  const apartUs = parts.reduce((sum, { durationUs }) => sum + durationUs, 0) - known
  expect(`${what}, parts`, parts.map(({ part }) => part).join(), /^jump,kernel to init,(initrd|.* to mount)/)
  expect(`${what}, parts are jump and boot`, Math.abs(apartUs) < 1000, true)
  return report
}

const phaseUs = (vm: VmTimeline | undefined, wanted: string): number =>
  vm?.phases.find(({ phase }) => phase === wanted)?.durationUs ?? 0

/**
 * For hosts that mount and resume at boot: resolves when every guest runs in the next kernel. `program`: the
 * command that updates.
 */
export async function updateOnce(
  stage: Stage,
  guests: readonly GuestLog[],
  what: string,
  program?: string,
): Promise<UpdateReport> {
  const { host, next } = stage
  const atBoot = host.log('at-boot')
  const from = atBoot.text.length
  // A former tree has it in milliseconds, under another name.
  const timeout = program === undefined ? '--timeout 3m' : '--timeout-ms 180000'
  await host.jump(`${liveUpdate(next, program)} ${timeout}`)
  await atBoot.waitFor(/BLACKOUT[\s\S]*updated/, { from })
  await Promise.all(guests.map((each) => each.waitForTicks(3)))
  return expectUpdated(
    stage,
    guests.map(({ log }) => log.name),
    { what },
  )
}
