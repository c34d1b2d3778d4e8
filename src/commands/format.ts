/** `guestmemfs format`: make a carve-out an empty pool. */
import type { CommandModule } from '../cli/command.ts'
import { print, printJson } from '../cli/print.ts'
import { formatRegion } from '../pool/format-region.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
import { REGION_KINDS, type RegionKind } from '../values/store-kinds.ts'

export const command: CommandModule = {
  name: 'format',
  group: 'Pools',
  summary: 'make a carve-out an empty pool; the first mount does this by itself',
  changes: true,
  register: (command) =>
    command
      .argument('<pool-name>', 'the name it will be mounted by')
      .option('--store <kind>', 'dax: a region of device-dax; devmem: a reserved range', 'dax')
      .option('--region <name>', 'such as dax0.0 or 0x100000000; not needed where there is one')
      .option('--force', 'also when the region holds a pool or other data, which are lost')
      .option('--json', 'print JSON')
      .action((pool: string, options: { store: string; region?: string; force?: true; json?: true }) => {
        const { region, totalBlocks } = formatRegion({
          pool,
          kind: regionKind(options.store),
          region: options.region ?? null,
          force: options.force ?? false,
        })
        const sizeBytes = totalBlocks * BLOCK_BYTES
        if (options.json) printJson<'format'>({ pool, region, sizeBytes })
        else print(`${pool} on ${region}, ${formatSize(sizeBytes)}: empty`)
      }),
}

function regionKind(text: string): RegionKind {
  const kind = REGION_KINDS.find((known) => known === text)
  if (kind !== undefined) return kind
  throw new UsageError(`--store '${text}' is no carve-out: take ${REGION_KINDS.join(' or ')}`)
}
