/**
 * The measured steps: kernel updates of one throw-away host, by an expert's script and by `live-update` in
 * turns, under the same guests, with the same kernel. How long each guest is silent is read outside of the
 * host, the same for both sides: in the next kernel from its console, since the agent, which would be one
 * more process for guests to wait for, comes after the script that resumes them.
 */
import type { UpdateReport } from '../../src/liveupdate/report/update-report.ts'
import { guestCommand } from '../../testbed/guests/qemu.ts'
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import { STOP_TELLING, tellTicks } from '../../testbed/machine/console-ticks.ts'
import { loadKernel } from '../../testbed/scenario/by-hand.ts'
import { lastReport, liveUpdate } from '../../testbed/scenario/live-update.ts'
import type { Scenario, Stage } from '../../testbed/scenario/scenario.ts'
import { TWO_CARVE_OUTS } from '../../testbed/scenarios/carve-out.ts'
import { type BenchGuest, endByHand, jumpByHand, restoreByHand, startByHand } from './script.ts'

export const BY = ['hand', 'live-update'] as const
export type By = (typeof BY)[number]

/** One kernel update. */
export interface HandUpdate {
  readonly by: By
  readonly guests: number
  /** Of each guest, between the last tick before the update and the first one after it. */
  readonly silenceMs: readonly number[]
  /** Processor time of the next kernel's user space until its script has ended and all guests are back. */
  readonly userSeconds: number
  /** By `live-update`: of the guest that was stopped for the longest time, by its report. */
  readonly phasesMs?: Readonly<Record<string, number>>
}

const MEBIBYTES = 96
const DIRECTORY = '/mnt/guestmemfs'
const MOUNT = `mkdir -p ${DIRECTORY}; guestmemfs mount guestmemfs ${DIRECTORY} -o store=dax,region=dax0.0`
const PATIENCE_MS = 300_000
/**
 * The expert's script ends as soon as the QEMUs are started. The agent, a process of Node, must not start
 * beside them on that side alone.
 */
const AGENT_AFTER = 'sleep 20'
const LONG = { timeoutMs: PATIENCE_MS }
const TICKS = 5
/**
 * In hundredths of a second: time of all processors in user mode, nice or not, and in the kernel
 * (proc_stat(5)).
 */
const PROCESSOR_TIME = "awk '/^cpu /{print $2+$3+$4}' /proc/stat"

export interface Plan {
  readonly by: By
  readonly guests: number
}

const guestsOf = (index: number, count: number): BenchGuest[] =>
  Array.from({ length: count }, (_, guest) => ({
    name: `guest-${index}-${guest}`,
    mebibytes: MEBIBYTES,
    accelerator: guest === 0 ? 'kvm' : 'tcg',
  }))

export const updatesInTurns = (plans: readonly Plan[]): Scenario<HandUpdate[]> => ({
  about: 'measures kernel updates by hand and by live-update',
  memory: '6G',
  append: TWO_CARVE_OUTS,
  timeoutMs: 7200_000,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 16, strideBytes: 4096 }) }),
  async run(stage) {
    const updates: HandUpdate[] = []
    for (const [index, { by, guests: count }] of plans.entries()) {
      const guests = guestsOf(index, count)
      const update = by === 'hand' ? updateByHand : updateByUs
      updates.push(
        await stage.phase(`${by}, ${count} guests, ${index + 1} of ${plans.length}`, async () => {
          const measured = { by, guests: count, ...(await update(stage, guests)) }
          stage.keep(`update ${index + 1}`, measured)
          return measured
        }),
      )
    }
    return updates
  },
})

const namesOf = (guests: readonly BenchGuest[]): string[] => guests.map(({ name }) => name)

type Figures = Omit<HandUpdate, 'by' | 'guests'>

async function updateByHand(stage: Stage, guests: readonly BenchGuest[]): Promise<Figures> {
  const { host, next } = stage
  await host.run(startByHand(guests))
  const atBoot = [tellTicks(namesOf(guests)), restoreByHand(guests), AGENT_AFTER]
  await host.atBoot(atBoot.join('\n'), { alone: true })
  await host.run(loadKernel(next))
  const figures = await measure(stage, guests, jumpByHand(guests))
  await host.run(endByHand(guests))
  return figures
}

async function updateByUs(stage: Stage, guests: readonly BenchGuest[]): Promise<Figures> {
  const { host, next } = stage
  await host.run(`mountpoint -q ${DIRECTORY} || { ${MOUNT}; }`, LONG)
  for (const { name, mebibytes, accelerator } of guests) {
    const line = guestCommand({ name, mebibytes, accelerator, kernel: 'tiny-guest' })
    await host.run(`cd ${DIRECTORY}; touch ${name}-ram; truncate -s ${mebibytes}M ${name}-ram`)
    await host.start(`run-${name}`, `exec guestmemfs run --name ${name} -- ${line}`)
  }
  await host.atBoot(`${tellTicks(namesOf(guests))}\n${MOUNT} --resume`, { alone: true })
  const figures = await measure(stage, guests, `${liveUpdate(next)} --timeout 4m`)
  const phasesMs = longestPhases(await lastReport(host))
  await host.run(`pkill -KILL qemu-system; cd ${DIRECTORY}; rm -f *-ram`)
  return { ...figures, phasesMs }
}

function longestPhases({ vms }: UpdateReport): Record<string, number> {
  const [longest] = vms.toSorted((one, other) => (other.blackoutUs ?? 0) - (one.blackoutUs ?? 0))
  return Object.fromEntries(
    (longest?.phases ?? []).map(({ phase, durationUs }) => [phase, Math.round(durationUs / 1000)]),
  )
}

/** `jump`: a script that ends in the kexec. */
async function measure(stage: Stage, guests: readonly BenchGuest[], jump: string): Promise<Figures> {
  const { host } = stage
  const logs = guests.map(({ name }) => stage.guest(name))
  await Promise.all(logs.map((log) => log.waitForTicks(TICKS, PATIENCE_MS)))
  await host.jump(jump)
  await Promise.all(logs.map((log) => log.waitForTicks(1, PATIENCE_MS)))
  await host.run(STOP_TELLING)
  const userSeconds = Number(await host.run(PROCESSOR_TIME)) / 100
  await Promise.all(logs.map((log) => log.waitForTicks(TICKS, PATIENCE_MS)))
  return { silenceMs: logs.map((log) => log.continuity().silenceMs), userSeconds }
}
