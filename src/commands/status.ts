/** `guestmemfs status`: a mounted pool's virtual xattrs. */
import type { CommandModule } from '../cli/command.ts'
import { printJson, printTable } from '../cli/print.ts'
import { findMount, ROOT_XATTRS, readVirtual, readVirtualList } from '../pool/pool-view.ts'

export const command: CommandModule = {
  name: 'status',
  group: 'Pools',
  summary: "show a mounted pool's identity, geometry, health and processes",
  register: (command) =>
    command
      .argument('[pool|mountpoint]', 'not needed where one pool is mounted')
      .option('--json', 'print JSON, sizes in bytes')
      .action((named: string | undefined, options: { json?: true }) => {
        const mount = findMount(named)
        const sections = ROOT_XATTRS.map((name) => [name, readVirtual(mount.mountPoint, name)] as const)
        const orphans = readVirtualList(mount.mountPoint, 'orphans')
        const vms = readVirtualList(mount.mountPoint, 'vms')
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
            ['orphans', String(orphans.length)],
            ['vms', String(vms.length)],
          ],
        )
      }),
}

const plain = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))
