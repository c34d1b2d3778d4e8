/**
 * Owns measuring what a GiB of guest memory costs its host in struct pages and in page tables, for each store and for hugetlbfs, by the
 * kernel's own counts (`nr_memmap_pages` and `nr_memmap_boot_pages`, VmPTE). Facts alone: nothing here is a verdict.
 */
import type { Scenario, Stage } from '../scenario/scenario.ts'

const GIB = 2 ** 30
const TOUCH = 'node /opt/testbed/guestmemfs/testbed/programs/memory/touch.ts'
const DIRECT = 'node /opt/testbed/guestmemfs/testbed/programs/memory/direct.ts'
const APPEND = 'memmap=1G$4G memmap=2560M%5G-1+0xefffffff modprobe.blacklist=kmem'

/** Bytes per GiB of guest memory. */
export interface Overhead {
  readonly structPages: number
  /** Of one process that maps all of it. KVM has as many again for its guest where pages are of that size. */
  readonly pageTables: number
  /** As the kernel has it for the mapping. */
  readonly pageBytes: number
  /** What a read past the page cache into it answers: bytes, or an error. */
  readonly direct: string
}

export const overhead: Scenario = {
  about: 'what a GiB of guest memory costs in struct pages and page tables, store by store',
  memory: '7G',
  append: APPEND,
  async run(stage) {
    const { host, phase, keep } = stage
    const boot = await counts(stage)
    /** What any GiB of ordinary RAM is described with, used or not. */
    const ordinary = (boot.memmapBytes / boot.presentBytes) * GIB
    const row = (name: string, value: Overhead) => keep(name, value)
    await host.run(
      'echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled; mkdir -p /mnt/memfd /mnt/dax /mnt/devmem /mnt/huge',
    )

    const setHugePages = (count: number) =>
      host.run(`echo ${count} >/proc/sys/vm/nr_hugepages; cat /proc/sys/vm/nr_hugepages`)
    for (const optimized of [0, 1]) {
      const name = `hugetlbfs 2M, ${optimized === 1 ? 'vmemmap optimised' : 'as it is'}`
      await phase(name, async () => {
        await host.run(`echo ${optimized} >/proc/sys/vm/hugetlb_optimize_vmemmap`)
        const before = await counts(stage)
        if ((await setHugePages(512)) !== '512') throw new Error('no 512 huge pages are free')
        const cost = (await counts(stage)).memmapBytes - before.memmapBytes
        await host.run(
          'mountpoint -q /mnt/huge || mount -t hugetlbfs none /mnt/huge; : >/mnt/huge/ram; truncate -s 1G /mnt/huge/ram',
        )
        row(name, { structPages: ordinary + cost, ...(await touch(stage, '/mnt/huge/ram')) })
        await host.run('rm /mnt/huge/ram')
        await setHugePages(0)
      })
    }
    await phase('memfd', async () => {
      await host.run(
        'guestmemfs mount memfd /mnt/memfd -o size=1G; touch /mnt/memfd/ram; truncate -s 1G /mnt/memfd/ram',
      )
      const before = await counts(stage)
      const touched = await touch(stage, '/mnt/memfd/ram')
      row('memfd', {
        structPages: ordinary + (await counts(stage)).memmapBytes - before.memmapBytes,
        ...touched,
      })
      await host.run('rm /mnt/memfd/ram; guestmemfs umount --discard memfd')
    })
    await host.run(
      'guestmemfs mount dax /mnt/dax -o store=dax; mkdir /mnt/dax/big; setfattr -n trusted.guestmemfs.align -v 1G /mnt/dax/big',
    )
    for (const [name, file] of [
      ['dax 1G', 'big/ram'],
      ['dax 2M', 'ram'],
    ] as const) {
      await phase(name, async () => {
        await host.run(`cd /mnt/dax; touch ${file}; truncate -s 1G ${file}`, { timeoutMs: 300_000 })
        const before = await counts(stage)
        const node = await host.run(`readlink /mnt/dax/${file}`)
        const cost = (await counts(stage)).memmapBytes - before.memmapBytes
        row(name, { structPages: cost, ...(await touch(stage, node)) })
      })
    }
    await phase('devmem', async () => {
      await host.run('guestmemfs mount devmem /mnt/devmem -o store=devmem; touch /mnt/devmem/ram')
      await host.run('truncate -s 960M /mnt/devmem/ram', { timeoutMs: 300_000 })
      // Described at boot beyond the RAM that the kernel uses: with struct pages for the reserved GiB it would be 16 MiB more.
      const cost = boot.memmapBytes - (boot.presentBytes / 4096) * 64
      const said = await host.run(`${TOUCH} /dev/mem ${960 * 2 ** 20} ${4 * GIB}`)
      const direct = await host.run(`${DIRECT} /usr/bin/node /dev/mem ${2 * 2 ** 20} ${4 * GIB}`)
      const { tableBytes, kernelPageBytes } = JSON.parse(said)
      row('devmem', {
        structPages: cost,
        pageTables: (tableBytes * 1024) / 960,
        pageBytes: kernelPageBytes,
        direct,
      })
    })
  },
}

async function touch({ host }: Stage, path: string): Promise<Omit<Overhead, 'structPages'>> {
  const said = JSON.parse(await host.run(`${TOUCH} ${path} ${GIB}`))
  const pageBytes = said.pmdMappedBytes > 0 ? 2 * 2 ** 20 : said.kernelPageBytes
  const direct = await host.run(`${DIRECT} /usr/bin/node ${path} ${GIB}`)
  return { pageTables: said.tableBytes, pageBytes, direct }
}

async function counts({ host }: Stage): Promise<{ memmapBytes: number; presentBytes: number }> {
  const sum = async (program: string, file: string) =>
    Number(await host.run(`awk '${program} END { printf "%.0f", sum }' ${file}`))
  return {
    memmapBytes: 4096 * (await sum('/^nr_memmap/ { sum += $2 }', '/proc/vmstat')),
    presentBytes: 4096 * (await sum('$1 == "present" { sum += $2 }', '/proc/zoneinfo')),
  }
}
