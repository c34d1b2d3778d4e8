/** `guestmemfs format`: make a carve-out an empty pool. */
import type { CommandModule } from '../cli/command.ts'
import { collect } from '../cli/options.ts'
import { complain, print, printJson } from '../cli/print.ts'
import { parseBadRanges } from '../pool/bad-ranges.ts'
import { type Formatted, formatRegion } from '../pool/format-region.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
import { REGION_KINDS, type RegionKind } from '../values/store-kinds.ts'

interface FormatOptions {
  readonly store: string
  readonly region?: string
  readonly force?: true
  readonly bad: readonly string[]
  readonly forgetBad?: true
  readonly json?: true
}

export const command: CommandModule = {
  name: 'format',
  group: 'Pools',
  summary: 'make a carve-out an empty pool; the first mount does this by itself',
  description: `
    Files and all else that the region holds are lost; what is known of its memory is not. Memory that a
    former pool there has recorded as bad goes to no file of the new one either, nor does memory that the
    kernel has logged a failure of since it was booted, nor what --bad names. status says how much that is
    and where. After the machine was off nothing of this is known any more: name what was bad before.`,
  examples: [
    {
      about: 'a pool on memory of which a page is known to be bad',
      typed: 'guestmemfs format guestmemfs --bad 0x140000000+4K',
    },
  ],
  seeAlso: ['guestmemfs-reserve(8)', 'guestmemfs-mount(8)', 'guestmemfs-status(8)'],
  changes: true,
  register: (command) =>
    command
      .argument('<pool-name>', 'the name it will be mounted by')
      .option('--store <kind>', 'dax: a region of device-dax; devmem: a reserved range', 'dax')
      .option('--region <name>', 'such as dax0.0 or 0x100000000; not needed where there is one')
      .option('--force', 'also when the region holds a pool or other data, which are lost')
      .option(
        '--bad <ranges>',
        'memory that is bad: ADDRESS+SIZE, as 0x140000000+4K, separated by commas; may be given several times',
        collect,
        [],
      )
      .option('--forget-bad', 'what a former pool there has recorded as bad is good again')
      .option('--json', 'print JSON')
      .action((pool: string, options: FormatOptions) => {
        const formatted = formatRegion({
          pool,
          kind: regionKind(options.store),
          region: options.region ?? null,
          force: options.force ?? false,
          bad: parseBadRanges(options.bad),
          forgetsBad: options.forgetBad ?? false,
        })
        const { region, totalBlocks, badBlocks, hasLostRecord } = formatted
        if (hasLostRecord)
          complain(
            'warning: the image that was there cannot be read: if it recorded bad memory, name it with --bad',
          )
        if (options.json)
          printJson<'format'>({
            pool,
            region,
            sizeBytes: totalBlocks * BLOCK_BYTES,
            badBytes: badBlocks * BLOCK_BYTES,
            hasLostRecord,
          })
        else print(inWords(formatted))
      }),
}

function inWords({ pool, region, totalBlocks, badBlocks }: Formatted): string {
  const bad = badBlocks === 0 ? '' : `, ${formatSize(badBlocks * BLOCK_BYTES)} of it bad`
  return `${pool} on ${region}, ${formatSize(totalBlocks * BLOCK_BYTES)}: empty${bad}`
}

function regionKind(text: string): RegionKind {
  const kind = REGION_KINDS.find((known) => known === text)
  if (kind !== undefined) return kind
  throw new UsageError(`--store '${text}' is no carve-out: take ${REGION_KINDS.join(' or ')}`)
}
