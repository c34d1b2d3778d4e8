/**
 * The measured steps of a handover by the Live Update Orchestrator in the throw-away host: plain memfds,
 * preserved and retrieved; and live updates under one guest at a time whose RAM is a pool's memfd, or in the
 * carve-out of the same kernel. Returns the figures, and also keeps each at once: a run that fails later has
 * it in its summary.
 */
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import type { Preserved, Retrieved } from '../../testbed/programs/luo/plain-memfds.ts'
import { JUMP, loadKernel } from '../../testbed/scenario/by-hand.ts'
import { type Mapping, mappingOf } from '../../testbed/scenario/mapping.ts'
import type { Scenario, Stage } from '../../testbed/scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS } from '../../testbed/scenarios/luo.ts'
import {
  DIRECTORY,
  endGuest,
  type GuestReport,
  guestPid,
  LONG,
  PROGRAMS,
  startGuest,
  updateUnder,
} from './one-guest.ts'

export type Store = 'memfd' | 'dax'

export interface HandoverUpdate {
  readonly store: Store
  readonly sizeMib: number
  readonly report: GuestReport
  /** The guest's RAM as its QEMU maps it. */
  readonly before: Mapping
  readonly after: Mapping
}

/** The two sides of one kexec, memfd by memfd. */
export interface PlainKexec {
  readonly preserved: readonly Preserved[]
  readonly retrieved: readonly Retrieved[]
}

export interface HandoverFigures {
  readonly updates: readonly HandoverUpdate[]
  readonly plainKexecs: readonly PlainKexec[]
}

const PRESERVE = `node ${PROGRAMS}/luo/preserve.ts`
const RETRIEVE = `node ${PROGRAMS}/luo/retrieve.ts`
/** Enough for the carve-out, the plain memfds or the pool, and the boot. */
const MEMORY = '7G'
const CARVE_OUT = 'memmap=2G%4G-1+0xefffffff modprobe.blacklist=kmem'
const HUGE_PAGES = 'echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled'
const MOUNT: Record<Store, string> = {
  memfd: `${HUGE_PAGES}; mkdir -p ${DIRECTORY}; guestmemfs mount guestmemfs ${DIRECTORY} -o size=2G`,
  dax: `mkdir -p ${DIRECTORY}; guestmemfs mount guestmemfs ${DIRECTORY} -o store=dax`,
}

/**
 * `rounds`: for each of them its stores in order, each with a live update for each size; and one kexec with
 * plain memfds.
 */
export const handoverUpdates = (
  rounds: readonly (readonly Store[])[],
  sizesMib: readonly number[],
): Scenario<HandoverFigures> => ({
  about: 'measures what is handed over by LUO',
  kernel: LUO_KERNEL,
  memory: MEMORY,
  append: `${LUO_WORDS} ${CARVE_OUT}`,
  timeoutMs: 3600_000,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 16, strideBytes: 4096 }) }),
  async run(stage) {
    const { phase } = stage
    const plainKexecs: PlainKexec[] = []
    const updates: HandoverUpdate[] = []
    for (const [round, stores] of rounds.entries()) {
      const pass = () => plainKexec(stage, sizesMib, `preserve-${round + 1}`)
      plainKexecs.push(await phase(`plain memfds ${round + 1}`, pass))
      for (const store of stores) updates.push(...(await updatesOf(stage, store, sizesMib, updates.length)))
    }
    return { updates, plainKexecs }
  },
})

async function plainKexec(stage: Stage, sizesMib: readonly number[], log: string): Promise<PlainKexec> {
  const { host, next, keep } = stage
  const memfds = sizesMib.flatMap((sizeMib) => [`${sizeMib}:huge`, `${sizeMib}:small`]).join(',')
  await host.atBoot(HUGE_PAGES, { alone: true })
  await host.run(HUGE_PAGES)
  const maker = await host.start(log, `exec ${PRESERVE} ${memfds}`)
  const [line] = await maker.log.waitFor(/^\[.*\]$/m, LONG)
  await host.run(loadKernel(next))
  await host.jump(JUMP)
  const retrieved = await host.json<Retrieved[]>(`${RETRIEVE} ${memfds}`, LONG)
  const found = { preserved: JSON.parse(line) as Preserved[], retrieved }
  keep(log, found)
  return found
}

/** One pool for all sizes, discarded at the end. `before`: the number of guests before. */
async function updatesOf(
  stage: Stage,
  store: Store,
  sizesMib: readonly number[],
  before: number,
): Promise<HandoverUpdate[]> {
  const { host, phase } = stage
  await host.run(MOUNT[store])
  await host.atBoot(`${MOUNT[store]} --resume`, { alone: true })
  const found: HandoverUpdate[] = []
  for (const sizeMib of sizesMib) {
    // Each guest has a log of its own.
    const name = `guest-${before + found.length + 1}`
    found.push(await phase(`${store}, ${sizeMib} MiB`, () => update(stage, name, store, sizeMib)))
  }
  await host.run(`guestmemfs umount --discard ${DIRECTORY}`)
  return found
}

async function update(stage: Stage, name: string, store: Store, sizeMib: number): Promise<HandoverUpdate> {
  await startGuest(stage, name, sizeMib)
  const before = await mapped(stage)
  const report = await updateUnder(stage, name)
  const after = await mapped(stage)
  const figures = { store, sizeMib, report, before, after }
  stage.keep(`${name}, figures`, figures)
  await endGuest(stage)
  return figures
}

const mapped = async (stage: Stage): Promise<Mapping> =>
  mappingOf(stage.host, await guestPid(stage), `^${DIRECTORY}/ram$|^/dev/guestmemfs/`)
