/** Live updates of the host's kernel by one command, and their report in the next kernel. */
import type { GuestLog } from './guest-log.ts'
import type { BootChoice, Stage } from './scenario.ts'

/** The output of `guestmemfs report --json`, as far as scenarios, benches and the demo read it. */
export interface UpdateReport {
  readonly left?: readonly string[]
  readonly kernel?: {
    readonly before: string
    readonly after: string
    readonly clockUncertaintyUs: number
    readonly parts?: readonly { readonly part: string; readonly durationUs: number }[]
  }
  readonly vms: readonly VmReport[]
}

export interface VmReport {
  readonly name: string
  readonly outcome: string
  readonly problem: string | null
  readonly phases: readonly { readonly phase: string; readonly durationUs: number }[]
  readonly blackoutUs: number | null
}

/** Words that name a kernel's files. */
export const filesOf = ({ vmlinuz, initramfs }: BootChoice): string =>
  `--kernel ${vmlinuz} --initrd ${initramfs}`

/**
 * Seconds. The default is for a real host: in the emulated one, where other programs had the machine, guests
 * were not saved in time, and rightly continued.
 */
const PATIENCE = '--patience 60'

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

/**
 * The kernel changed from the former one to another, and exactly the guests `names` were updated, each with a
 * blackout that was measured.
 */
export async function expectUpdated(
  { host, next, keep, expect }: Stage,
  names: readonly string[],
  { what = 'report', to = next, pool, paused = [] }: ReportChoice = {},
): Promise<UpdateReport> {
  const ofPool = pool === undefined ? '' : ` --mount ${pool}`
  const report = await host.json<UpdateReport>(`guestmemfs report --json${ofPool}`)
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

const phaseUs = (vm: VmReport | undefined, wanted: string): number =>
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
  await host.jump(`${liveUpdate(next, program)} --timeout-ms 180000`)
  await atBoot.waitFor(/BLACKOUT[\s\S]*updated/, { from })
  await Promise.all(guests.map((each) => each.waitForTicks(3)))
  return expectUpdated(
    stage,
    guests.map(({ log }) => log.name),
    { what },
  )
}
