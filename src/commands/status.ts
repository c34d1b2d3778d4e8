/** `guestmemfs status`: a mounted pool in six lines, or all that it tells of itself. */
import type { CommandModule } from '../cli/command.ts'
import { findingOutput } from '../cli/json/finding-output.ts'
import { ONLY_POOL, poolArgument } from '../cli/pool-argument.ts'
import { complain, print, printJson, printTable } from '../cli/print.ts'
import { statusLines } from '../cli/print-status.ts'
import { readOverview } from '../liveupdate/overview.ts'
import { holdersOf } from '../liveupdate/overview-findings.ts'
import { badRowInWords } from '../pool/pool-bad-memory.ts'
import type { PoolStatus } from '../pool/pool-status.ts'
import { findMount } from '../pool/pool-view.ts'
import { formatSize } from '../values/size.ts'

export const command: CommandModule = {
  name: 'status',
  group: 'Pools',
  summary: 'show how a mounted pool is, in six lines; with -v all that it tells of itself',
  description: `
    The lines: the pool, its store and what of it is used; its health; its keeper and its server, each with
    its version and since when it runs; its guests by state; the last update since this machine started;
    and what to do, if anything. What names files or guests is shown to root alone.

    With -v a line for each field of the values that the root directory of the mount has as extended
    attributes, such as guestmemfs.health, follows. An orphan is a file without a name whose memory a
    process still has; the process is named. Each part of the pool whose memory has failed is a line, with
    the file that has it; what no file has is not used any more.`,
  examples: [
    {
      about: 'what to do, for a script',
      typed: "guestmemfs status --json | jq -r '.findings[].advice // empty'",
    },
  ],
  seeAlso: ['guestmemfs-list(8)', 'guestmemfs-vms(8)', 'guestmemfs.xattr(7)'],
  changes: false,
  register: (command) =>
    poolArgument(command, ONLY_POOL)
      .option('-v, --verbose', 'then all that the pool tells of itself')
      .option('--json', 'print JSON')
      .action(status),
}

interface Options {
  readonly verbose?: true
  readonly json?: true
}

async function status(named: string | undefined, { verbose, json }: Options): Promise<void> {
  const overview = await readOverview(findMount(named))
  for (const problem of overview.problems) complain(problem)
  if (json) {
    const { status, keeper, server, guests, findings } = overview
    const more = { processes: { keeper, server }, guests, findings: findings.map(findingOutput) }
    return printJson<'status'>({ ...status, ...more })
  }
  for (const line of statusLines(overview)) print(line)
  if (!verbose) return
  print('')
  printTable(['KEY', 'VALUE'], rowsOf(overview.status))
}

const FOR_ROOT = 'listed to root alone'

function rowsOf({ orphans, vms, bad, pool, mountPoint, ...sections }: PoolStatus): string[][] {
  const rows = Object.entries(sections).flatMap(([section, value]) =>
    Object.entries(value ?? {}).map(([key, field]) => [`${section}.${key}`, plain(key, field)]),
  )
  return [
    ['pool', pool],
    ['mountPoint', mountPoint],
    ...rows,
    ['orphans', orphans ? describeOrphans(orphans) : FOR_ROOT],
    ['vms', vms ? String(vms.length) : FOR_ROOT],
    ...(bad ?? []).map((row) => ['bad memory', badRowInWords(row)]),
  ]
}

/** How many, and which processes keep their memory, so that the operator can end them. */
function describeOrphans(orphans: NonNullable<PoolStatus['orphans']>): string {
  const holders = holdersOf(orphans)
  return holders.length === 0 ? String(orphans.length) : `${orphans.length}, held by ${holders.join(' and ')}`
}

function plain(key: string, value: unknown): string {
  if (typeof value === 'number' && key.endsWith('Bytes')) return `${value} (${formatSize(value)})`
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
