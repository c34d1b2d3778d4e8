/** `guestmemfs status`: a mounted pool's virtual xattrs. */
import type { CommandModule } from '../cli/command.ts'
import { ONLY_POOL, poolArgument } from '../cli/pool-argument.ts'
import { complain, printJson, printTable } from '../cli/print.ts'
import { storeUseIn, whyUnsafe } from '../pool/check-stored.ts'
import { type PoolStatus, readPoolStatus } from '../pool/pool-status.ts'
import { findMount } from '../pool/pool-view.ts'

export const command: CommandModule = {
  name: 'status',
  group: 'Pools',
  summary: "show a mounted pool's identity, geometry, health and processes",
  description: `
    Each key is a field of a value that the root directory of the mount has as an extended attribute, such
    as guestmemfs.health. An orphan is a file without a name whose memory a process still has; the process
    is named. What names files, wherever they lie, is shown to root alone.`,
  examples: [
    {
      about: 'whether anything is wrong with its memory',
      typed: 'guestmemfs status guestmemfs | grep ^health',
    },
  ],
  seeAlso: ['guestmemfs-list(8)', 'guestmemfs.xattr(7)'],
  changes: false,
  register: (command) =>
    poolArgument(command, ONLY_POOL)
      .option('--json', 'print JSON')
      .action((named: string | undefined, options: { json?: true }) => {
        const status = readPoolStatus(findMount(named))
        const use = storeUseIn(status.health)
        const unsafe = use && whyUnsafe(use)
        if (unsafe !== undefined) complain(`warning: ${unsafe}`)
        if (options.json) return printJson<'status'>(status)
        const { mountPoint, orphans, vms, identity, geometry, health, server, handover } = status
        const rows = Object.entries({ pool: identity, geometry, health, server, handover }).flatMap(
          ([section, value]) =>
            Object.entries(value ?? {}).map(([key, field]) => [`${section}.${key}`, plain(field)]),
        )
        printTable(
          ['KEY', 'VALUE'],
          [
            ['mountPoint', mountPoint],
            ...rows,
            ['orphans', orphans ? describeOrphans(orphans) : FOR_ROOT],
            ['vms', vms ? String(vms.length) : FOR_ROOT],
          ],
        )
      }),
}

const FOR_ROOT = 'listed to root alone'

/** How many, and which processes keep their memory, so that the operator can end them. */
function describeOrphans(orphans: NonNullable<PoolStatus['orphans']>): string {
  const holders = orphans.flatMap(({ heldBy }) => heldBy ?? [])
  const names = new Set(
    holders.map(({ pid, program, isUnreadable }) =>
      isUnreadable
        ? `${program} (process ${pid}), which does not show what it maps`
        : `${program} (process ${pid})`,
    ),
  )
  return names.size === 0 ? String(orphans.length) : `${orphans.length}, held by ${[...names].join(' and ')}`
}

const plain = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))
