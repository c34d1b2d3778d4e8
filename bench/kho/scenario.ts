/**
 * Owns what is done in the throw-away host to measure a hand-over by the Live Update Orchestrator: plain memfds, preserved and retrieved;
 * and live updates under one guest at a time whose RAM is a pool's memfd, or in the carve-out of the same kernel. Figures are handed on as
 * they are found, and mean nothing here.
 */
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import type { Preserved, Retrieved } from '../../testbed/programs/luo/plain-memfds.ts'
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
} from '../kexec/one-guest.ts'

/** How the guest's RAM is mapped by its QEMU, as smaps has it. */
export interface Mapped {
  readonly rssKib: number
  /** By whole 2 MiB entries, of memory that the kernel finds pages for. */
  readonly pmdMappedKib: number
  readonly kernelPageKib: number
}

export type Store = 'memfd' | 'dax'

export interface Update {
  readonly store: Store
  readonly sizeMib: number
  readonly report: GuestReport
  readonly before: Mapped
  readonly after: Mapped
}

/** The two sides of one kexec, memfd by memfd. */
export interface Passage {
  readonly preserved: readonly Preserved[]
  readonly retrieved: readonly Retrieved[]
}

export interface Figures {
  readonly updates: Update[]
  readonly passages: Passage[]
}

const PRESERVE = `node ${PROGRAMS}/luo/preserve.ts`
const RETRIEVE = `node ${PROGRAMS}/luo/retrieve.ts`
/** Beside the carve-out it holds the plain memfds, or the pool, and what booting takes. */
const MEMORY = '7G'
const CARVE_OUT = 'memmap=2G%4G-1+0xefffffff modprobe.blacklist=kmem'
const HUGE_PAGES = 'echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled'
const MOUNT: Record<Store, string> = {
  memfd: `${HUGE_PAGES}; mkdir -p ${DIRECTORY}; guestmemfs mount guestmemfs ${DIRECTORY} -o size=2G`,
  dax: `mkdir -p ${DIRECTORY}; guestmemfs mount guestmemfs ${DIRECTORY} -o store=dax`,
}

/** `rounds`: for each of them its stores in order, each with a live update for each size; and one passage of plain memfds. */
export const measuring = (
  rounds: readonly (readonly Store[])[],
  sizesMib: readonly number[],
  figures: Figures,
): Scenario => ({
  about: 'measures what is handed over by LUO',
  kernel: LUO_KERNEL,
  memory: MEMORY,
  append: `${LUO_WORDS} ${CARVE_OUT}`,
  timeoutMs: 3600_000,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 16, strideBytes: 4096 }) }),
  async run(stage) {
    const { phase } = stage
    for (const [round, stores] of rounds.entries()) {
      figures.passages.push(
        await phase(`plain memfds ${round + 1}`, () => passage(stage, sizesMib, `preserve-${round + 1}`)),
      )
      for (const store of stores) await updates(stage, store, sizesMib, figures.updates)
    }
  },
})

async function passage(stage: Stage, sizesMib: readonly number[], log: string): Promise<Passage> {
  const { host, next, keep } = stage
  const memfds = sizesMib.flatMap((sizeMib) => [`${sizeMib}:huge`, `${sizeMib}:small`]).join(',')
  await host.atBoot(HUGE_PAGES, { alone: true })
  await host.run(HUGE_PAGES)
  const maker = await host.start(log, `exec ${PRESERVE} ${memfds}`)
  const [line] = await maker.log.waitFor(/^\[.*\]$/m, LONG)
  await host.run(`kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --reuse-cmdline`)
  await host.jump('sync; kexec -e')
  const said = await host.run(`${RETRIEVE} ${memfds}`, LONG)
  const found = { preserved: JSON.parse(line), retrieved: JSON.parse(said) } as Passage
  keep(log, found)
  return found
}

/** One pool, for all sizes; given up at the end. */
async function updates(
  stage: Stage,
  store: Store,
  sizesMib: readonly number[],
  found: Update[],
): Promise<void> {
  const { host, phase } = stage
  await host.run(MOUNT[store])
  await host.atBoot(`${MOUNT[store]} --resume`, { alone: true })
  for (const sizeMib of sizesMib) {
    // Each guest's log is its own.
    const name = `guest-${found.length + 1}`
    found.push(await phase(`${store}, ${sizeMib} MiB`, () => update(stage, name, store, sizeMib)))
  }
  await host.run(`guestmemfs umount --discard ${DIRECTORY}`)
}

async function update(stage: Stage, name: string, store: Store, sizeMib: number): Promise<Update> {
  await startGuest(stage, name, sizeMib)
  const before = await mapped(stage)
  const report = await updateUnder(stage, name)
  const after = await mapped(stage)
  stage.keep(`${name} mapped`, { before, after })
  await endGuest(stage)
  return { store, sizeMib, report, before, after }
}

async function mapped(stage: Stage): Promise<Mapped> {
  const pid = await guestPid(stage)
  const said = await stage.host.run(`awk '
    /^[0-9a-f]+-[0-9a-f]+ / { ours = $6 ~ "^${DIRECTORY}/ram$|^/dev/guestmemfs/"; found += ours }
    ours && $1 == "Rss:" { rss += $2 }
    ours && /^(Shmem|File)PmdMapped:/ { pmd += $2 }
    ours && $1 == "KernelPageSize:" { page = $2 }
    END { if (!found) exit 1; printf "[%d, %d, %d]", rss, pmd, page }' /proc/${pid}/smaps`)
  const [rssKib, pmdMappedKib, kernelPageKib] = JSON.parse(said) as [number, number, number]
  return { rssKib, pmdMappedKib, kernelPageKib }
}
