/**
 * Measures memory from inside a guest, by the pages that its RAM is mapped with: bandwidth of stores and
 * latency of reads that depend on one another. The same guest, one store after the other, each several
 * rounds. Returns the figures of each way; no figure is judged, but the guest's RAM must be mapped by pages
 * of the size in the way's name.
 */
import { buildMemoryGuest, CHASES, MEMORY_GUEST_MIB, TICKS, WRITE_BYTES } from '../guests/memory-guest.ts'
import { guestCommand } from '../guests/qemu.ts'
import { type ListedRam, listPools } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const APPEND = 'memmap=1G$4G memmap=2560M%5G-1+0xefffffff modprobe.blacklist=kmem'
const ROUNDS = 7
const MIB = 2 ** 20
const GIB = 2 ** 30
const SHMEM_ENABLED = '/sys/kernel/mm/transparent_hugepage/shmem_enabled'

/** One way to hold the guest's RAM. */
interface Way {
  /** A command that runs before. */
  readonly prepare?: string
  readonly file: string
  /** By memfds of the pool it is the size of the pages that QEMU's mapping has entries for. */
  readonly pageBytes: number
}

const WAYS: Readonly<Record<string, Way>> = {
  'memfd 4K': { prepare: `echo never >${SHMEM_ENABLED}`, file: '/mnt/memfd/small', pageBytes: 4096 },
  'memfd 2M': { prepare: `echo advise >${SHMEM_ENABLED}`, file: '/mnt/memfd/huge', pageBytes: 2 * MIB },
  'dax 2M': { file: '/mnt/dax/ram', pageBytes: 2 * MIB },
  'dax 1G': {
    prepare: 'mkdir /mnt/dax/big; setfattr -n trusted.guestmemfs.align -v 1G /mnt/dax/big',
    file: '/mnt/dax/big/ram',
    pageBytes: GIB,
  },
  'devmem 4K': { file: '/mnt/devmem/ram', pageBytes: 4096 },
}

/** By round. */
export interface PageFigures {
  readonly writeMibPerSecond: number[]
  readonly chaseNs: number[]
  /** The page size of the mapping by the kernel, and the bytes that whole 2 MiB entries map. */
  readonly kernelPageBytes: number
  readonly pmdMappedBytes: number
}

export const pages: Scenario<Record<string, PageFigures>> = {
  about: "latency and bandwidth of a guest's memory, by the pages that it is mapped with",
  memory: '7G',
  append: APPEND,
  timeoutMs: 1500_000,
  files: () => ({ 'memory-guest': buildMemoryGuest() }),
  async run(stage) {
    const { host, phase, keep, expect } = stage
    const megahertz = Number(await host.run("awk -F: '/^cpu MHz/ { print $2; exit }' /proc/cpuinfo"))
    for (const store of ['dax', 'devmem', 'memfd'])
      await host.run(
        `mkdir -p /mnt/${store}; guestmemfs mount ${store} /mnt/${store} -o store=${store}${store === 'memfd' ? ',size=3G' : ''}`,
      )
    const measured: Record<string, PageFigures> = {}
    for (const [name, way] of Object.entries(WAYS)) {
      const figures = await phase(name, () => measure(stage, way, megahertz))
      measured[name] = figures
      keep(name, figures)
      const pageBytes = figures.pmdMappedBytes > 0 ? 2 * MIB : figures.kernelPageBytes
      expect(`${name}, bytes of a page`, pageBytes, way.pageBytes)
    }
    return measured
  },
}

async function measure({ host }: Stage, way: Way, megahertz: number): Promise<PageFigures> {
  const { prepare, file, pageBytes } = way
  // The file is a whole gigantic page, of which the guest uses a part.
  const mebibytes = pageBytes === GIB ? 1024 : MEMORY_GUEST_MIB
  const name = `guest${file.replaceAll('/', '-')}`
  if (prepare !== undefined) await host.run(prepare)
  const qemu = guestCommand({
    name,
    mebibytes,
    ram: file,
    kernel: 'memory-guest',
    machine: 'q35',
    serial: 'stdio',
    prealloc: true,
  })
  const { pid, log } = await host.start(name, `exec guestmemfs run --name ${name} -- ${qemu}`)
  await log.waitFor(new RegExp(`(?:write \\d+ chase \\d+\\n[^]*?){${ROUNDS + 1}}`), { timeoutMs: 400_000 })
  const mapping = await mappingBy(host, file)
  await host.run(`kill -TERM -${pid}; rm -f ${file}`)
  await log.waitForEnd(60_000)
  return {
    ...figuresOf(log.text, megahertz),
    kernelPageBytes: mapping?.kernelPageBytes ?? 0,
    pmdMappedBytes: mapping?.pmdMappedBytes ?? 0,
  }
}

function figuresOf(text: string, megahertz: number): Pick<PageFigures, 'writeMibPerSecond' | 'chaseNs'> {
  const seconds = (ticks: string | undefined) => (Number(ticks) * TICKS) / (megahertz * 1e6)
  // Without the first round, which warms the memory.
  const rounds = [...text.matchAll(/^write (\d+) chase (\d+)$/gm)].slice(1, ROUNDS + 1)
  return {
    writeMibPerSecond: rounds.map(([, write]) => WRITE_BYTES / MIB / seconds(write)),
    chaseNs: rounds.map(([, , chase]) => (seconds(chase) / CHASES) * 1e9),
  }
}

/** The mapping of the guest's RAM by its QEMU. */
async function mappingBy(
  host: Stage['host'],
  file: string,
): Promise<ListedRam['mappings'][number] | undefined> {
  const pools = await listPools(host)
  const files = pools.flatMap(({ mountPoint, ram }) =>
    ram.filter((each) => `${mountPoint}/${each.file}` === file),
  )
  return files.flatMap(({ mappings }) => mappings).find(({ program }) => program.startsWith('qemu'))
}
