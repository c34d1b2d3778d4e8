/**
 * Owns measuring memory from inside a guest, by the pages that its RAM is mapped with: bandwidth of stores and latency of reads that
 * depend on one another. The same guest, one store after the other, each several rounds. Facts alone.
 */
import { buildMemoryGuest, CHASES, MEMORY_GUEST_MIB, TICKS, WRITE_BYTES } from '../guests/memory-guest.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const APPEND = 'memmap=1G$4G memmap=2560M%5G-1+0xefffffff modprobe.blacklist=kmem'
const ROUNDS = 7

/** One way to hold the guest's RAM: what is done before, and its file. */
const WAYS = {
  'memfd 4K': ['echo never >/sys/kernel/mm/transparent_hugepage/shmem_enabled', '/mnt/memfd/small'],
  'memfd 2M': ['echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled', '/mnt/memfd/huge'],
  'dax 2M': ['true', '/mnt/dax/ram'],
  'dax 1G': [
    'mkdir /mnt/dax/big; setfattr -n trusted.guestmemfs.align -v 1G /mnt/dax/big',
    '/mnt/dax/big/ram',
  ],
  'devmem 4K': ['true', '/mnt/devmem/ram'],
} as const

/** By round. */
export interface PageFigures {
  readonly writeMibPerSecond: number[]
  readonly chaseNs: number[]
  /** As the kernel has it for the mapping, and how much of it whole 2 MiB entries map. */
  readonly kernelPageBytes: number
  readonly pmdMappedBytes: number
}

export const pages: Scenario = {
  about: "latency and bandwidth of a guest's memory, by the pages that it is mapped with",
  memory: '7G',
  append: APPEND,
  timeoutMs: 1500_000,
  files: () => ({ 'memory-guest': buildMemoryGuest() }),
  async run(stage) {
    const { host, phase, keep } = stage
    const megahertz = Number(await host.run("awk -F: '/^cpu MHz/ { print $2; exit }' /proc/cpuinfo"))
    for (const store of ['dax', 'devmem', 'memfd'])
      await host.run(
        `mkdir -p /mnt/${store}; guestmemfs mount ${store} /mnt/${store} -o store=${store}${store === 'memfd' ? ',size=3G' : ''}`,
      )
    for (const [name, [prepare, file]] of Object.entries(WAYS))
      keep(name, await phase(name, () => measure(stage, prepare, file, megahertz)))
  },
}

async function measure(
  { host }: Stage,
  prepare: string,
  file: string,
  megahertz: number,
): Promise<PageFigures> {
  // Gigantic pages come whole; the guest has what it needs of one.
  const mebibytes = file.includes('/big/') ? 1024 : MEMORY_GUEST_MIB
  const name = `guest${file.replaceAll('/', '-')}`
  await host.run(prepare)
  const { pid, log } = await host.start(
    name,
    `exec guestmemfs run --name ${name} -- qemu-system-x86_64 -machine q35 -accel kvm -cpu host -m ${mebibytes}M \\
    -object memory-backend-file,id=pc.ram,size=${mebibytes}M,mem-path=${file},share=on,prealloc=on \\
    -nodefaults -display none -serial stdio -kernel /opt/testbed/files/memory-guest`,
  )
  const line = /^write (\d+) chase (\d+)$/gm
  await log.waitFor(new RegExp(`(?:write \\d+ chase \\d+\\n[^]*?){${ROUNDS + 1}}`), { timeoutMs: 400_000 })
  // The first round is the one that the memory is warmed by.
  const rounds = [...log.text.matchAll(line)].slice(1, ROUNDS + 1).map(([, write, chase]) => {
    const seconds = (ticks: string | undefined) => (Number(ticks) * TICKS) / (megahertz * 1e6)
    return { write: WRITE_BYTES / 2 ** 20 / seconds(write), chase: (seconds(chase) / CHASES) * 1e9 }
  })
  const pools = JSON.parse(await host.run('guestmemfs list --json')) as {
    mountPoint: string
    ram: Listed[]
  }[]
  const listed = pools.flatMap(({ mountPoint, ram }) =>
    ram.filter((each) => `${mountPoint}/${each.file}` === file),
  )
  const [mapping] = listed.flatMap(({ mappings }) =>
    mappings.filter(({ program }) => program.startsWith('qemu')),
  )
  await host.run(`kill -TERM -${pid}; rm -f ${file}`)
  await log.waitForEnd(60_000)
  return {
    writeMibPerSecond: rounds.map(({ write }) => write),
    chaseNs: rounds.map(({ chase }) => chase),
    kernelPageBytes: mapping?.kernelPageBytes ?? 0,
    pmdMappedBytes: mapping?.pmdMappedBytes ?? 0,
  }
}

interface Listed {
  readonly file: string
  readonly mappings: readonly {
    readonly program: string
    readonly kernelPageBytes: number
    readonly pmdMappedBytes: number
  }[]
}
