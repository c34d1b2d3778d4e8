/**
 * One guest of a measured size in the throw-away host: makes and touches its RAM, starts it, updates the
 * host's kernel under it, reads its report, and ends it. The scenario chooses the store, and what it
 * measures.
 */
import type { VmTimeline } from '../../src/liveupdate/report/timeline.ts'
import { guestCommand } from '../../testbed/guests/qemu.ts'
import { lastReport, liveUpdate } from '../../testbed/scenario/live-update.ts'
import { onlyVm } from '../../testbed/scenario/pool.ts'
import type { Stage } from '../../testbed/scenario/scenario.ts'

/** Of a guest whose blackout was measured. */
export interface GuestReport extends Pick<VmTimeline, 'phases'> {
  readonly blackoutUs: number
}

export const MIB = 2 ** 20
export const PROGRAMS = '/opt/testbed/guestmemfs/testbed/programs'
export const DIRECTORY = '/mnt/guestmemfs'
export const PATIENCE_MS = 300_000
export const LONG = { timeoutMs: PATIENCE_MS }
/** The VM name of each of them. */
export const VM = 'measured'
/** One at a time. */
const RAM = `${DIRECTORY}/ram`
const FILL = `node ${PROGRAMS}/measure/fill.ts`

/** Touches all of its RAM first. `name`: of its log, another one for each guest. */
export async function startGuest({ host, guest }: Stage, name: string, sizeMib: number): Promise<void> {
  const bytes = sizeMib * MIB
  await host.run(`touch ${RAM}; truncate -s ${bytes} ${RAM}; ${FILL} ${RAM} ${bytes}`, LONG)
  const qemu = guestCommand({ name, mebibytes: sizeMib, ram: RAM, kernel: 'tiny-guest' })
  await host.start('run', `exec guestmemfs run --name ${VM} -- ${qemu}`)
  await guest(name).waitForTicks(3, PATIENCE_MS)
}

/** Resolves when the guest goes on. Throws when no blackout was measured. */
export async function updateUnder(stage: Stage, name: string): Promise<GuestReport> {
  const { host, next, guest, keep } = stage
  await host.jump(`${liveUpdate(next)} --timeout 4m`)
  await guest(name).waitForTicks(3, PATIENCE_MS)
  const { vms } = await lastReport(host)
  const [report] = vms
  if (report === undefined || report.blackoutUs === null)
    throw new Error(`no blackout was measured: ${JSON.stringify(vms)}`)
  keep(name, await host.run('guestmemfs report'))
  return { ...report, blackoutUs: report.blackoutUs }
}

/** Of the guest's QEMU. Throws where it does not run. */
export async function guestPid({ host }: Stage): Promise<number> {
  const { pid, state } = await onlyVm(host)
  if (pid === null) throw new Error(`the guest is ${state}`)
  return pid
}

export async function endGuest(stage: Stage): Promise<void> {
  await stage.host.run(`kill -KILL ${await guestPid(stage)}; rm ${RAM}`)
}
