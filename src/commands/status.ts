/** `guestmemfs status`: a mounted pool's virtual xattrs. */
import type { CommandModule } from '../cli/command.ts'
import { ONLY_POOL, poolArgument } from '../cli/pool-argument.ts'
import { complain, printJson, printTable } from '../cli/print.ts'
import type { Holder } from '../linux/holders.ts'
import { storeUseIn, whyUnsafe } from '../pool/check-stored.ts'
import { findMount, HANDOVER_VIEW, ROOT_XATTRS, readVirtual, readVirtualList } from '../pool/pool-view.ts'

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
      .option('--json', 'print JSON, sizes in bytes')
      .action((named: string | undefined, options: { json?: true }) => {
        const mount = findMount(named)
        // Values that name files, in whatever directories, can be read by root alone.
        const isRoot = process.getuid?.() === 0
        const names = isRoot ? [...ROOT_XATTRS, HANDOVER_VIEW] : ROOT_XATTRS
        const sections = names.map((name) => [name, readVirtual(mount.mountPoint, name)] as const)
        const [orphans, vms] = ['orphans', 'vms'].map((name) =>
          isRoot ? readVirtualList(mount.mountPoint, name) : null,
        )
        const use = storeUseIn(sections.find(([name]) => name === 'health')?.[1])
        const unsafe = use && whyUnsafe(use)
        if (unsafe !== undefined) complain(`warning: ${unsafe}`)
        if (options.json) return printJson({ ...mount, ...Object.fromEntries(sections), orphans, vms })
        const rows = sections.flatMap(([section, value]) =>
          Object.entries((value ?? {}) as Record<string, unknown>).map(([key, field]) => [
            `${section}.${key}`,
            plain(field),
          ]),
        )
        printTable(
          ['KEY', 'VALUE'],
          [
            ['mountPoint', mount.mountPoint],
            ...rows,
            ['orphans', orphans ? describeOrphans(orphans) : FOR_ROOT],
            ['vms', vms ? String(vms.length) : FOR_ROOT],
          ],
        )
      }),
}

const FOR_ROOT = 'listed to root alone'

/** How many, and which processes keep their memory, so that the operator can end them. */
function describeOrphans(orphans: readonly unknown[]): string {
  const holders = orphans.flatMap((orphan) => (orphan as { heldBy?: Holder }).heldBy ?? [])
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
