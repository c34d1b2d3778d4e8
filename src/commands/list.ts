/** `guestmemfs list`: the pools of this host, and the guest RAM in them with the pages that map it. */
import type { CommandModule } from '../cli/command.ts'
import { print, printJson, printTable } from '../cli/print.ts'
import { badBytesByFile, badBytesOf, badMemoryOf } from '../pool/pool-bad-memory.ts'
import { type PoolSummary, summarisePools } from '../pool/pool-summary.ts'
import { type ListedRamFile, type RamMapper, ramOf } from '../pool/ram-files.ts'
import { formatSize } from '../values/size.ts'

export const command: CommandModule = {
  name: 'list',
  group: 'Pools',
  summary: 'list the pools of this host, mounted and parked, and the guest RAM in them',
  description: `
    One line for each pool. State mounted: it is served. unserved: it is mounted, and no server answers
    just now. parked: it is not mounted, and its memory is kept. held: its keeper and its server have
    died, and another process has its memory. lost: they have died, and its memory with them. unseen: it
    cannot be seen from here whether a process has its memory. unreadable: as lost, of a pool whose record
    cannot be read.

    Root also gets one line for each file of guest RAM and each process that maps it, with the size of the
    pages that the kernel maps it by, and the memory node that it lies in; of a memfd whose pages are of
    several, how much of each the process has mapped. Where memory of a pool has failed, a column says how
    much of each.`,
  examples: [{ about: 'the names of all pools', typed: "guestmemfs list --json | jq -r '.pools[].pool'" }],
  seeAlso: ['guestmemfs-status(8)', 'guestmemfs-vms(8)'],
  changes: false,
  register: (command) =>
    command.option('--json', 'print JSON').action((options: { json?: true }) => {
      const pools = summarisePools().map(withRam)
      if (options.json) return printJson<'list'>({ pools })
      if (pools.length === 0) return print('no pools')
      const hasBad = pools.some(({ badBytes }) => (badBytes ?? 0) > 0)
      const badColumn = (cell: string): string[] => (hasBad ? [cell] : [])
      const sizeOr = (bytes: number | null): string => (bytes === null ? '-' : formatSize(bytes))
      printTable(
        ['POOL', 'STATE', 'SIZE', 'FREE', ...badColumn('BAD'), 'MOUNTED ON'],
        pools.map(({ pool, state, sizeBytes, freeBytes, badBytes, mountPoint }) => [
          ...[pool, state, formatSize(sizeBytes), sizeOr(freeBytes)],
          ...badColumn(sizeOr(badBytes)),
          mountPoint ?? '-',
        ]),
      )
      const rows = pools.flatMap(({ mountPoint, ram }) =>
        ram.flatMap((file) => ramRows(mountPoint ?? '', file, badColumn(formatSize(file.badBytes)))),
      )
      if (rows.length === 0) return
      print('')
      const bad = badColumn('BAD')
      printTable(['GUEST RAM', 'SIZE', ...bad, 'PIECES', 'NODE', 'PLACED FOR', 'MAPPED IN', 'BY'], rows)
    }),
}

/** With how much of it is bad. */
function withRam(pool: PoolSummary) {
  const badBytes = badBytesOf(pool)
  const byFile = badBytesByFile(badBytes ? (badMemoryOf(pool) ?? []) : [])
  const ram = ramOf(pool).map((file) => ({ ...file, badBytes: byFile.get(file.file) ?? 0 }))
  return { ...pool, badBytes, ram }
}

function ramRows(
  mountPoint: string,
  { file, sizeBytes, extents, alignBytes, nodes, mappings }: ListedRamFile,
  bad: readonly string[],
): string[][] {
  const head = [`${mountPoint}/${file}`, formatSize(sizeBytes), ...bad, String(extents)]
  const row = (node: string, ...more: string[]) => [...head, node, formatSize(alignBytes), ...more]
  const all = nodes?.join(',') ?? '-'
  if (mappings.length === 0) return [row(all, '-', '-')]
  return mappings.map((mapping) =>
    row(sharesOf(mapping) ?? all, pagesOf(mapping), `${mapping.program} (${mapping.pid})`),
  )
}

/** undefined: all of it is of one node, or that is not known. */
function sharesOf({ nodeBytes = [] }: RamMapper): string | undefined {
  if (nodeBytes.length < 2) return undefined
  return nodeBytes.map(({ node, bytes }) => `${node}: ${formatSize(bytes)}`).join(', ')
}

/** Shared memory is mapped by whole 2 MiB entries as far as the kernel has found such pages for it. */
function pagesOf({ kernelPageBytes, pmdMappedBytes }: RamMapper): string {
  const page = formatSize(kernelPageBytes)
  return pmdMappedBytes === 0 ? page : `2M (${formatSize(pmdMappedBytes)}), ${page}`
}
