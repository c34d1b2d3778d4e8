/** `guestmemfs list`: the pools of this host, and the guest RAM in them with the pages that map it. */
import type { CommandModule } from '../cli/command.ts'
import { print, printJson, printTable } from '../cli/print.ts'
import { summarisePools } from '../pool/pool-summary.ts'
import { type ListedRamFile, type RamMapper, ramOf } from '../pool/ram-files.ts'
import { formatSize } from '../values/size.ts'

export const command: CommandModule = {
  name: 'list',
  group: 'Pools',
  summary: 'list the pools of this host, mounted and parked, and the guest RAM in them',
  changes: false,
  register: (command) =>
    command.option('--json', 'print JSON, sizes in bytes').action((options: { json?: true }) => {
      const pools = summarisePools().map((pool) => ({ ...pool, ram: ramOf(pool) }))
      if (options.json) return printJson(pools)
      if (pools.length === 0) return print('no pools')
      printTable(
        ['POOL', 'STATE', 'SIZE', 'FREE', 'MOUNTED ON'],
        pools.map((pool) => [
          pool.pool,
          pool.state,
          formatSize(pool.sizeBytes),
          pool.freeBytes === null ? '-' : formatSize(pool.freeBytes),
          pool.mountPoint ?? '-',
        ]),
      )
      const rows = pools.flatMap(({ mountPoint, ram }) =>
        ram.flatMap((file) => ramRows(mountPoint ?? '', file)),
      )
      if (rows.length === 0) return
      print('')
      printTable(['GUEST RAM', 'SIZE', 'PIECES', 'PLACED FOR', 'MAPPED IN', 'BY'], rows)
    }),
}

function ramRows(
  mountPoint: string,
  { file, sizeBytes, extents, alignBytes, mappings }: ListedRamFile,
): string[][] {
  const head = [`${mountPoint}/${file}`, formatSize(sizeBytes), String(extents), formatSize(alignBytes)]
  if (mappings.length === 0) return [[...head, '-', '-']]
  return mappings.map((mapping) => [...head, pagesOf(mapping), `${mapping.program} (${mapping.pid})`])
}

/** Shared memory is mapped by whole 2 MiB entries as far as the kernel has found such pages for it. */
function pagesOf({ kernelPageBytes, pmdMappedBytes }: RamMapper): string {
  const page = formatSize(kernelPageBytes)
  return pmdMappedBytes === 0 ? page : `2M (${formatSize(pmdMappedBytes)}), ${page}`
}
