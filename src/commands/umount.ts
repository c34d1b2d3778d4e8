/** `guestmemfs umount`: park a pool that holds files, or discard it. */
import type { CommandModule } from '../cli/command.ts'
import { print, printJson } from '../cli/print.ts'
import { unmountPool } from '../pool/unmount-pool.ts'

const RESULTS = {
  parked: 'unmounted and parked: mount it again to find its files, or discard it with --discard',
  discarded: 'unmounted and discarded',
  ended: 'unmounted; it held nothing',
  lost: 'unmounted; its processes had died, and its memory with them',
  'in region': 'unmounted; its memory is in its region as it was, where the next mount finds its files',
  cleared: 'unmounted; its processes had died, and its memory with them, unless it was in a region',
} as const

export const command: CommandModule = {
  name: 'umount',
  group: 'Pools',
  summary: 'unmount a pool; its memory stays parked unless discarded',
  description: `
    A pool of memfds that holds files is parked: its keeper holds the memory, and the next mount finds the
    files. A pool in a region needs no process: its memory stays as it is, also with --discard; delete its
    files, or empty it by 'guestmemfs format --force'. A pool that holds nothing ends.
    A mount that is in use is refused, unless --force is given. What became of the pool is printed.`,
  exitStatus: {
    0: 'the pool is not mounted any more; with --discard nothing of guestmemfs holds its memory',
    1: 'it was refused, or failed; one line says why, and where the pool is in use it is still mounted',
  },
  examples: [
    { about: 'park a pool', typed: 'guestmemfs umount guestmemfs' },
    {
      about: 'free the memory of a pool of memfds, and all that it holds',
      typed: 'guestmemfs umount --discard guestmemfs',
    },
  ],
  seeAlso: ['guestmemfs-mount(8)', 'guestmemfs-list(8)', 'umount(8)', 'docs/reference/host.md'],
  changes: true,
  register: (command) =>
    command
      .argument('<pool>', 'its name or its mount point')
      .option(
        '--discard',
        'free the memory of a pool of memfds, whatever it holds; one in a region keeps its files',
      )
      .option('--force', 'cut off processes with open files; guests keep their memory and run on')
      .option('--json', 'print JSON')
      .action(async (named: string, options: { discard?: true; force?: true; json?: true }) => {
        const { discard = false, force = false } = options
        const result = await unmountPool(named, { discard, force })
        if (options.json) printJson<'umount'>({ named, result })
        else print(`${named}: ${RESULTS[result]}`)
      }),
}
