/**
 * Owns what is done in the throw-away host to be measured: live updates of its kernel under one guest at a time, of several sizes of
 * RAM; mounts after a kexec; zeroing. Figures are handed on as they are found, and mean nothing here.
 */
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import type { Scenario, Stage } from '../../testbed/scenario/scenario.ts'
import {
  DIRECTORY,
  endGuest,
  type GuestReport,
  guestPid,
  LONG,
  MIB,
  PATIENCE_MS,
  PROGRAMS,
  startGuest,
  updateUnder,
  VM,
} from './one-guest.ts'

/** One live update. */
export interface Update {
  readonly sizeMib: number
  readonly report: GuestReport
  readonly ordinary: { readonly saveMs: number; readonly savedBytes: number }
  /** Of the guest's mapping of its RAM. */
  readonly kernelPageBytes: number
}

export interface Figures {
  readonly updates: Update[]
  /** Right after a kexec, from the start of `guestmemfs mount` until the pool serves, by what it holds. */
  readonly mountMs: Record<string, number>
  zeroing?: {
    readonly rounds: readonly { readonly memsetMs: number; readonly zeroingMs: number }[]
    readonly follows: Readonly<Record<string, number>>
  }
}

interface ServerTimes {
  readonly askedAtMs: number
  readonly startedAt: string
}

const SAVE = `node ${PROGRAMS}/measure/ordinary-save.ts`
/** Room for a guest's RAM, which /dev/shm has not. */
const TMPFS = 'mkdir -p /run/ordinary; mount -t tmpfs -o size=90% ordinary /run/ordinary'
const ZERO = `node ${PROGRAMS}/measure/zeroing.ts`
/** Twice the largest guest must fit into what is left: the host's own, and the peer's file on a tmpfs. */
const CARVE_OUT = 'memmap=4G%4G-1+0xefffffff modprobe.blacklist=kmem'
const ZEROED_BYTES = 1024 * MIB

const MOUNT = `guestmemfs mount guestmemfs ${DIRECTORY} -o store=dax`
const AT_BOOT = `mkdir -p ${DIRECTORY}; ${MOUNT} --resume`

/** `sizesMib`: one update for each, in this order. What is found is put into `figures`. */
export const measuring = (sizesMib: readonly number[], figures: Figures): Scenario => ({
  about: 'measures live updates of the kernel',
  memory: '8G',
  append: CARVE_OUT,
  timeoutMs: 3600_000,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 16, strideBytes: 4096 }) }),
  async run(stage) {
    const { host, phase } = stage
    await host.run(`mkdir -p ${DIRECTORY}; ${MOUNT}`)
    await host.atBoot(AT_BOOT, { alone: true })
    for (const [index, sizeMib] of sizesMib.entries())
      figures.updates.push(
        await phase(`update ${index + 1}, ${sizeMib} MiB`, () =>
          update(stage, `guest-${index + 1}`, sizeMib),
        ),
      )
    await phase('zeroing', () => zeroing(stage, sizesMib, figures))
    await phase('mount, 1000 ordinary files', () =>
      mountOf(stage, figures, '1000 ordinary files', 'for i in $(seq 1000); do echo $i >file-$i; done'),
    )
    await phase('mount, 100 guest RAM files', () =>
      mountOf(
        stage,
        figures,
        '100 guest RAM files',
        'for i in $(seq 100); do touch ram-$i; truncate -s 2M ram-$i; done',
      ),
    )
  },
})

async function update(stage: Stage, name: string, sizeMib: number): Promise<Update> {
  const { host, guest } = stage
  await startGuest(stage, name, sizeMib)
  const ordinary = JSON.parse(await host.run(`${TMPFS}; ${SAVE} ${VM} /run/ordinary/file`, LONG))
  await guest(name).waitForTicks(3, PATIENCE_MS)
  const report = await updateUnder(stage, name)
  const kib = await host.run(
    `awk '/\\/dev\\/guestmemfs/ { ours = 1 } ours && /^KernelPageSize/ { print $2; exit }' /proc/${await guestPid(stage)}/smaps`,
  )
  await endGuest(stage)
  return { sizeMib, report, ordinary, kernelPageBytes: Number(kib) * 1024 }
}

async function zeroing({ host }: Stage, sizesMib: readonly number[], figures: Figures): Promise<void> {
  const sizes = [...new Set(sizesMib)].sort((one, other) => one - other).join(',')
  const said = await host.run(`${ZERO} ${DIRECTORY} ${ZEROED_BYTES} ${sizes}`, LONG)
  figures.zeroing = JSON.parse(said)
}

/** What `make` (a script) leaves in the pool goes through a kexec, and then away. */
async function mountOf(stage: Stage, figures: Figures, what: string, make: string): Promise<void> {
  const { host, next } = stage
  const folder = `${DIRECTORY}/many`
  await host.run(`mkdir ${folder}; cd ${folder}; ${make}`, LONG)
  const before = await host.run(`ls ${folder} | wc -l`)
  await host.run(`kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --reuse-cmdline`)
  await host.jump('sync; kexec -e')
  const { server } = JSON.parse(await host.run('guestmemfs status --json')) as { server: ServerTimes }
  figures.mountMs[what] = Date.parse(server.startedAt) - server.askedAtMs
  if ((await host.run(`ls ${folder} | wc -l`)) !== before) throw new Error(`not all of ${what} came along`)
  await host.run(`rm -r ${folder}`, LONG)
}
