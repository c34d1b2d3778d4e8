/**
 * Measures what a GiB of guest memory costs its host in struct pages and in page tables, for each store and
 * for hugetlbfs, by the kernel's own counts (`nr_memmap_pages` and `nr_memmap_boot_pages`, VmPTE). Returns a
 * row for each kind of memory; no figure is judged, but each must have the page size of its name.
 */
import type { Scenario, Stage } from '../scenario/scenario.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30
const TOUCH = 'node /opt/testbed/guestmemfs/testbed/programs/memory/touch.ts'
const DIRECT = 'node /opt/testbed/guestmemfs/testbed/programs/memory/direct.ts'
const APPEND = 'memmap=1G$4G memmap=2560M%5G-1+0xefffffff modprobe.blacklist=kmem'
const HUGE_PAGES = 512
/** All that a pool in the reserved GiB has for guest RAM. */
const DEVMEM_MIB = 960
const DAX_FILES = { 'dax 1G': ['big/ram', GIB], 'dax 2M': ['ram', 2 * MIB] } as const

/** Bytes per GiB of guest memory. */
export interface Overhead {
  readonly structPages: number
  /**
   * Of one process that maps all of it. KVM takes as many again for its guest, where pages have that size.
   */
  readonly pageTables: number
  /** The page size of the mapping by the kernel. */
  readonly pageBytes: number
  /** The result of an O_DIRECT read into it: bytes, or an error. */
  readonly direct: string
}

type Touched = Omit<Overhead, 'structPages'>

interface Counts {
  readonly memmapBytes: number
  readonly presentBytes: number
}

export const overhead: Scenario<Record<string, Overhead>> = {
  about: 'what a GiB of guest memory costs in struct pages and page tables, store by store',
  memory: '7G',
  append: APPEND,
  async run(stage) {
    const { host, phase, keep, expect } = stage
    const boot = await counts(stage)
    /** Struct pages of any GiB of ordinary RAM, used or not. */
    const ordinary = (boot.memmapBytes / boot.presentBytes) * GIB
    const rows: Record<string, Overhead> = {}
    const row = async (name: string, pageBytes: number, measure: () => Promise<Overhead>): Promise<void> => {
      const value = await phase(name, measure)
      rows[name] = value
      keep(name, value)
      expect(`${name}, bytes of a page`, value.pageBytes, pageBytes)
    }
    await host.run(
      'echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled; mkdir -p /mnt/memfd /mnt/dax /mnt/devmem /mnt/huge',
    )
    for (const [name, isOptimized] of [
      ['hugetlbfs 2M, as it is', 0],
      ['hugetlbfs 2M, vmemmap optimised', 1],
    ] as const)
      await row(name, 2 * MIB, () => hugetlbfs(stage, isOptimized, ordinary))
    await row('memfd', 2 * MIB, () => memfd(stage, ordinary))
    await host.run(
      'guestmemfs mount dax /mnt/dax -o store=dax; mkdir /mnt/dax/big; setfattr -n trusted.guestmemfs.align -v 1G /mnt/dax/big',
    )
    for (const [name, [file, pageBytes]] of Object.entries(DAX_FILES))
      await row(name, pageBytes, () => dax(stage, file))
    await row('devmem', 4096, () => devmem(stage, boot))
    return rows
  },
}

/** A GiB of huge pages, taken from ordinary RAM and returned. */
async function hugetlbfs(stage: Stage, isOptimized: 0 | 1, ordinary: number): Promise<Overhead> {
  const { host } = stage
  const setHugePages = (count: number) =>
    host.run(`echo ${count} >/proc/sys/vm/nr_hugepages; cat /proc/sys/vm/nr_hugepages`)
  await host.run(`echo ${isOptimized} >/proc/sys/vm/hugetlb_optimize_vmemmap`)
  const before = await counts(stage)
  if ((await setHugePages(HUGE_PAGES)) !== String(HUGE_PAGES))
    throw new Error(`no ${HUGE_PAGES} huge pages are free`)
  const cost = (await counts(stage)).memmapBytes - before.memmapBytes
  await host.run(
    'mountpoint -q /mnt/huge || mount -t hugetlbfs none /mnt/huge; : >/mnt/huge/ram; truncate -s 1G /mnt/huge/ram',
  )
  const touched = await touch(stage, '/mnt/huge/ram')
  await host.run('rm /mnt/huge/ram')
  await setHugePages(0)
  return { structPages: ordinary + cost, ...touched }
}

async function memfd(stage: Stage, ordinary: number): Promise<Overhead> {
  const { host } = stage
  await host.run(
    'guestmemfs mount memfd /mnt/memfd -o size=1G; touch /mnt/memfd/ram; truncate -s 1G /mnt/memfd/ram',
  )
  const before = await counts(stage)
  const touched = await touch(stage, '/mnt/memfd/ram')
  const cost = (await counts(stage)).memmapBytes - before.memmapBytes
  await host.run('rm /mnt/memfd/ram; guestmemfs umount --discard memfd')
  return { structPages: ordinary + cost, ...touched }
}

async function dax(stage: Stage, file: string): Promise<Overhead> {
  const { host } = stage
  await host.run(`cd /mnt/dax; touch ${file}; truncate -s 1G ${file}`, { timeoutMs: 300_000 })
  const before = await counts(stage)
  const node = await host.run(`readlink /mnt/dax/${file}`)
  const cost = (await counts(stage)).memmapBytes - before.memmapBytes
  return { structPages: cost, ...(await touch(stage, node)) }
}

async function devmem(stage: Stage, boot: Counts): Promise<Overhead> {
  const { host } = stage
  await host.run('guestmemfs mount devmem /mnt/devmem -o store=devmem; touch /mnt/devmem/ram')
  await host.run(`truncate -s ${DEVMEM_MIB}M /mnt/devmem/ram`, { timeoutMs: 300_000 })
  // Described at boot beyond the RAM that the kernel uses: with struct pages for the reserved GiB it would be
  // 16 MiB more.
  const structPages = boot.memmapBytes - (boot.presentBytes / 4096) * 64
  const touched = await touch(stage, '/dev/mem', DEVMEM_MIB * MIB, 4 * GIB)
  return { structPages, ...touched, pageTables: (touched.pageTables * 1024) / DEVMEM_MIB }
}

/** Reads or writes each page, as a VMM does; page tables are those of all `lengthBytes`. */
async function touch({ host }: Stage, path: string, lengthBytes = GIB, offset = 0): Promise<Touched> {
  const { tableBytes, kernelPageBytes, pmdMappedBytes } = await host.json<{
    tableBytes: number
    kernelPageBytes: number
    pmdMappedBytes: number
  }>(`${TOUCH} ${path} ${lengthBytes} ${offset}`)
  const pageBytes = pmdMappedBytes > 0 ? 2 * MIB : kernelPageBytes
  const direct = await host.run(`${DIRECT} /usr/bin/node ${path} ${lengthBytes} ${offset}`)
  return { pageTables: tableBytes, pageBytes, direct }
}

async function counts({ host }: Stage): Promise<Counts> {
  const sum = async (program: string, file: string) =>
    Number(await host.run(`awk '${program} END { printf "%.0f", sum }' ${file}`))
  return {
    memmapBytes: 4096 * (await sum('/^nr_memmap/ { sum += $2 }', '/proc/vmstat')),
    presentBytes: 4096 * (await sum('$1 == "present" { sum += $2 }', '/proc/zoneinfo')),
  }
}
