/**
 * A process's mapping of guest RAM as the kernel has it: /proc/PID/smaps, read inside the host; and a process
 * that maps some.
 */
import type { Host } from '../machine/host.ts'
import type { Stage } from './scenario.ts'

/** `HOLD PATH LENGTH …` inside: a process that maps a file and stays (testbed/programs/memory/hold.ts). */
export const HOLD = 'node /opt/testbed/guestmemfs/testbed/programs/memory/hold.ts'

/** Sums over all parts of the mapping. */
export interface Mapping {
  readonly rssKib: number
  /** Mapped by whole 2 MiB entries, of memory with struct pages. */
  readonly pmdMappedKib: number
  /** The smallest, where parts differ. */
  readonly kernelPageKib: number
}

/** `path`: an awk pattern for the mapped file. Throws where the process maps no such file. */
export async function mappingOf(host: Host, pid: number, path: string): Promise<Mapping> {
  const script = `awk -v path='${path}' '
    /^[0-9a-f]+-[0-9a-f]+ / { ours = $6 ~ path; found += ours }
    ours && $1 == "Rss:" { rss += $2 }
    ours && /^(Shmem|File)PmdMapped:/ { pmd += $2 }
    ours && $1 == "KernelPageSize:" && (!page || $2 < page) { page = $2 }
    END { if (!found) exit 1; printf "[%d, %d, %d]", rss, pmd, page }' /proc/${pid}/smaps`
  const [rssKib, pmdMappedKib, kernelPageKib] = await host.json<[number, number, number]>(script)
  return { rssKib, pmdMappedKib, kernelPageKib }
}

/** For a memfd: all present memory of the mapping is mapped by whole 2 MiB entries. */
export async function expectHugePages(
  { host, expect }: Stage,
  what: string,
  pid: number,
  path: string,
): Promise<void> {
  const { rssKib, pmdMappedKib } = await mappingOf(host, pid, path)
  if (rssKib === 0) throw new Error(`${what}: nothing of ${path} is mapped`)
  expect(`${what} by 2 MiB, KiB`, pmdMappedKib, rssKib)
}
