/**
 * The measured steps in the throw-away host: live updates of its kernel under one guest at a time, of several
 * sizes of RAM; mounts after a kexec; zeroing. Returns the figures, and also keeps each at once: a run that
 * fails later has it in its summary.
 */
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import { JUMP, loadKernel } from '../../testbed/scenario/by-hand.ts'
import { mappingOf } from '../../testbed/scenario/mapping.ts'
import { poolStatus } from '../../testbed/scenario/pool.ts'
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
export interface CarveOutUpdate {
  readonly sizeMib: number
  readonly report: GuestReport
  readonly ordinary: { readonly saveMs: number; readonly savedBytes: number }
  /** Of the guest's mapping of its RAM. */
  readonly kernelPageBytes: number
}

export interface Zeroing {
  readonly rounds: readonly { readonly memsetMs: number; readonly zeroingMs: number }[]
  readonly follows: Readonly<Record<string, number>>
}

export interface CarveOutFigures {
  readonly updates: readonly CarveOutUpdate[]
  readonly zeroing: Zeroing
  /** After a kexec, from the start of `guestmemfs mount` to service, by what the pool holds. */
  readonly mountMs: Readonly<Record<string, number>>
}

const SAVE = `node ${PROGRAMS}/measure/ordinary-save.ts`
/** A tmpfs with room for a guest's RAM, which /dev/shm does not have. */
const TMPFS = 'mkdir -p /run/ordinary; mount -t tmpfs -o size=90% ordinary /run/ordinary'
const ZERO = `node ${PROGRAMS}/measure/zeroing.ts`
/**
 * The rest of the memory must have room for twice the largest guest: for the host, and for the peer's tmpfs.
 */
const CARVE_OUT = 'memmap=4G%4G-1+0xefffffff modprobe.blacklist=kmem'
const ZEROED_BYTES = 1024 * MIB

const MOUNT = `guestmemfs mount guestmemfs ${DIRECTORY} -o store=dax`
const AT_BOOT = `mkdir -p ${DIRECTORY}; ${MOUNT} --resume`

/** Contents of the pool for which a mount is measured, with the script that makes them. */
const CONTENTS = {
  '1000 ordinary files': 'for i in $(seq 1000); do echo $i >file-$i; done',
  '100 guest RAM files': 'for i in $(seq 100); do touch ram-$i; truncate -s 2M ram-$i; done',
} as const

/** `sizesMib`: one update for each, in this order. */
export const carveOutUpdates = (sizesMib: readonly number[]): Scenario<CarveOutFigures> => ({
  about: 'measures live updates of the kernel',
  memory: '8G',
  append: CARVE_OUT,
  timeoutMs: 3600_000,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 16, strideBytes: 4096 }) }),
  async run(stage) {
    const { host, phase, keep } = stage
    /** Keeps a figure at once. */
    const kept = async <T>(name: string, measure: () => Promise<T>): Promise<T> => {
      const figure = await phase(name, measure)
      keep(`${name}, figures`, figure)
      return figure
    }
    await host.run(`mkdir -p ${DIRECTORY}; ${MOUNT}`)
    await host.atBoot(AT_BOOT, { alone: true })
    const updates: CarveOutUpdate[] = []
    for (const [index, sizeMib] of sizesMib.entries()) {
      const measure = () => update(stage, `guest-${index + 1}`, sizeMib)
      updates.push(await kept(`update ${index + 1}, ${sizeMib} MiB`, measure))
    }
    const zeroed = await kept('zeroing', () => zeroing(stage, sizesMib))
    const mountMs: Record<string, number> = {}
    for (const [what, make] of Object.entries(CONTENTS))
      mountMs[what] = await kept(`mount, ${what}`, () => mountOf(stage, what, make))
    return { updates, zeroing: zeroed, mountMs }
  },
})

async function update(stage: Stage, name: string, sizeMib: number): Promise<CarveOutUpdate> {
  const { host, guest } = stage
  await startGuest(stage, name, sizeMib)
  const save = `${TMPFS}; ${SAVE} ${VM} /run/ordinary/file`
  const ordinary = await host.json<CarveOutUpdate['ordinary']>(save, LONG)
  await guest(name).waitForTicks(3, PATIENCE_MS)
  const report = await updateUnder(stage, name)
  const { kernelPageKib } = await mappingOf(host, await guestPid(stage), '^/dev/guestmemfs/')
  await endGuest(stage)
  return { sizeMib, report, ordinary, kernelPageBytes: kernelPageKib * 1024 }
}

function zeroing({ host }: Stage, sizesMib: readonly number[]): Promise<Zeroing> {
  const sizes = [...new Set(sizesMib)].sort((one, other) => one - other).join(',')
  return host.json<Zeroing>(`${ZERO} ${DIRECTORY} ${ZEROED_BYTES} ${sizes}`, LONG)
}

/** Makes contents in the pool by `make` (a script), measures the mount after a kexec, and removes them. */
async function mountOf({ host, next }: Stage, what: string, make: string): Promise<number> {
  const folder = `${DIRECTORY}/many`
  await host.run(`mkdir ${folder}; cd ${folder}; ${make}`, LONG)
  const before = await host.run(`ls ${folder} | wc -l`)
  await host.run(loadKernel(next))
  await host.jump(JUMP)
  const { server } = await poolStatus(host)
  if ((await host.run(`ls ${folder} | wc -l`)) !== before)
    throw new Error(`not all of ${what} is there after the kexec`)
  await host.run(`rm -r ${folder}`, LONG)
  return Date.parse(server.startedAt) - server.askedAtMs
}
