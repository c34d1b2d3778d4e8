/**
 * Owns one guest of a measured size in the throw-away host: its RAM made and touched, the guest started, the host's kernel updated under
 * it, its report, its end. Which store its RAM is in, and what of it is measured, is the scenario's.
 */
import type { Stage } from '../../testbed/scenario/scenario.ts'

export interface GuestReport {
  readonly phases: readonly { readonly phase: string; readonly durationUs: number }[]
  readonly blackoutUs: number
}

export const MIB = 2 ** 20
export const PROGRAMS = '/opt/testbed/guestmemfs/testbed/programs'
export const DIRECTORY = '/mnt/guestmemfs'
export const PATIENCE_MS = 300_000
export const LONG = { timeoutMs: PATIENCE_MS }
/** What `guestmemfs run` calls each of them. */
export const VM = 'measured'
/** One at a time. */
const RAM = `${DIRECTORY}/ram`
const FILL = `node ${PROGRAMS}/measure/fill.ts`

const qemu = (name: string, sizeMib: number): string =>
  `qemu-system-x86_64 -machine q35,memory-backend=pc.ram -accel kvm -cpu host -m ${sizeMib}M \\
  -object memory-backend-file,id=pc.ram,size=${sizeMib}M,mem-path=${RAM},share=on,prealloc=off \\
  -nodefaults -display none -kernel /opt/testbed/files/tiny-guest \\
  -chardev file,id=serial,path=/run/testbed/logs/${name},append=on -serial chardev:serial`

/** All of its RAM touched. `name`: of its log, another one for each guest. */
export async function startGuest({ host, guest }: Stage, name: string, sizeMib: number): Promise<void> {
  const bytes = sizeMib * MIB
  await host.run(`touch ${RAM}; truncate -s ${bytes} ${RAM}; ${FILL} ${RAM} ${bytes}`, LONG)
  await host.start('run', `exec guestmemfs run --name ${VM} -- ${qemu(name, sizeMib)}`)
  await guest(name).waitForTicks(3, PATIENCE_MS)
}

/** Until the guest runs on. Throws when no blackout was measured. */
export async function updateUnder(stage: Stage, name: string): Promise<GuestReport> {
  const { host, next, guest, keep } = stage
  const live = `guestmemfs live-update --kernel ${next.vmlinuz} --initrd ${next.initramfs} --reuse-cmdline`
  await host.jump(`${live} --timeout-ms 240000`)
  await guest(name).waitForTicks(3, PATIENCE_MS)
  const { vms } = JSON.parse(await host.run('guestmemfs report --json')) as { vms: GuestReport[] }
  const [report] = vms
  if (report?.blackoutUs == null) throw new Error(`no blackout was measured: ${JSON.stringify(vms)}`)
  keep(name, await host.run('guestmemfs report'))
  return report
}

/** Of the guest's QEMU. */
export async function guestPid({ host }: Stage): Promise<number> {
  const [{ pid }] = JSON.parse(await host.run('guestmemfs vms --json')) as [{ pid: number }]
  return pid
}

export async function endGuest(stage: Stage): Promise<void> {
  await stage.host.run(`kill -KILL ${await guestPid(stage)}; rm ${RAM}`)
}
