/** `guestmemfs mount`: takes the arguments of mount(8), so that /sbin/mount.guestmemfs can pass them on. */

import type { BegunMount, CommandModule } from '../cli/command.ts'
import { collect, DEFAULT_TIMEOUT, timeoutOption } from '../cli/options.ts'
import { complain, print, printJson } from '../cli/print.ts'
import type { GuestsBeforeMount } from '../early/before-mount.ts'
import type { EarlyGuests } from '../liveupdate/guest/early-result.ts'
import { hasUnit } from '../pool/has-unit.ts'
import { parseMountOptions } from '../pool/mount-options.ts'
import { type Mounted, type MountRequest, mountPool } from '../pool/mount-pool.ts'
import { differingRoot, isRemount, remountPool } from '../pool/remount-pool.ts'
import { mountThroughUnit } from '../pool/systemd-unit.ts'
import type { WaitingKeeper } from '../pool/waiting-keeper.ts'
import { RUN } from '../run/paths.ts'
import { hasRecordInRun } from '../run/pool-record.ts'
import { formatSize } from '../values/size.ts'

const WORDS: Readonly<Record<Mounted['how'], string>> = {
  new: 'new pool',
  found: 'found again',
  'handed-over': 'handed over by the former kernel',
  adopted: 'its keeper had died: a new one took over',
  lost: 'new pool: the processes of the former one had died, and its memory with them',
}

/** For words that had to be parsed first: the keeper's process has been started before. */
async function goOnBeforeMount(
  request: MountRequest,
  waiting: WaitingKeeper | undefined,
): Promise<GuestsBeforeMount> {
  const { guestsBeforeMount } = await import('../early/before-mount.ts')
  const early = await guestsBeforeMount(request, timeoutOption(DEFAULT_TIMEOUT))
  if (early.goingOn !== undefined) waiting?.yieldTo(early.goingOn)
  return early
}

interface Options {
  readonly o: string[]
  readonly resume?: true
  readonly json?: true
}

export const command: CommandModule = {
  name: 'mount',
  group: 'Pools',
  summary: 'mount a pool',
  description: `
    Mounts a pool, and makes it where there is none of that name. A pool that is parked, that lies in
    memory set aside at boot, or that the former kernel handed over is found again, with its files. Where
    systemd runs and guestmemfs is installed (by 'guestmemfs install' or as the Debian package), the unit
    guestmemfs@POOL.service keeps the pool; elsewhere two processes stay, its keeper and its server.

    mount(8) and lines of fstab come here by way of /sbin/mount.guestmemfs. The words after -o are
    described in mount.guestmemfs(8).`,
  exitStatus: {
    0: 'the pool is mounted, and with --resume all VMs that were saved in it run',
    1: 'the pool is not mounted; or, with --resume, it is, and a VM was not resumed',
    '128+N': 'with --resume: signal N arrived; the VMs came to their end all the same',
  },
  examples: [
    { about: 'a pool of 10 GiB', typed: 'guestmemfs mount guestmemfs /mnt/guestmemfs -o size=10G' },
    {
      about: 'a pool in memory that was set aside at boot, and then its saved VMs',
      typed: 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax --resume',
    },
    { about: 'more room, while guests run', typed: 'mount -o remount,size=20G /mnt/guestmemfs' },
  ],
  seeAlso: ['mount.guestmemfs(8)', 'guestmemfs-umount(8)', 'mount(8)', 'fstab(5)', 'docs/guide/stores.md'],
  changes: true,
  register: (command, begun) =>
    command
      .argument('<pool-name>', 'such as guestmemfs')
      .argument('<mountpoint>', 'an existing directory')
      .option('-o <options>', 'size=10G and the flags of mount(8), separated by commas', collect, [])
      .option('--resume', 'then resume the VMs that are saved in it, as `guestmemfs resume` does')
      .option('--json', 'print JSON')
      .action((pool: string, mountPoint: string, options: Options) =>
        mount({ pool, mountPoint, options: options.o }, options, begun),
      ),
}

async function mount(request: MountRequest, { resume, json }: Options, { waiting, early }: BegunMount) {
  if (isRemount(request)) {
    const remounted = await remountPool(request)
    if (json) printJson<'mount'>({ ...remounted, how: 'remounted', reports: null })
    return
  }
  const resumed = resume && (early ?? (await goOnBeforeMount(request, waiting)))
  // Node loads it while the keeper starts: guests wait for both.
  const resuming = resume && import('../cli/show-resumption.ts')
  const mounted = hasUnit() ? mountThroughUnit(request) : await mountPool(request, undefined, waiting)
  if (resumed) resumed.withdraw()
  const differs = differingRoot(mounted.mountPoint, parseMountOptions(request.options).rootDirectory)
  if (differs) complain(`${mounted.mountPoint}: ${differs}`)
  if (!hasRecordInRun(mounted.pool))
    complain(
      `${RUN} is full: ${mounted.pool} is mounted all the same, and lines of its log are lost until there is room`,
    )
  if (!json)
    print(
      `${mounted.pool} on ${mounted.mountPoint}, ${formatSize(mounted.sizeBytes)} (${WORDS[mounted.how]})`,
    )
  if (resuming !== undefined) await resumeIn(mounted, await resuming, json, resumed?.guests)
  else if (json) printJson<'mount'>({ ...mounted, reports: null })
}

/** With --json the mount is printed also where its guests cannot be resumed. */
async function resumeIn(
  mounted: Mounted,
  { showResumption }: typeof import('../cli/show-resumption.ts'),
  json: true | undefined,
  early: EarlyGuests | undefined,
): Promise<void> {
  const { collected } = await import('../cli/show-update.ts')
  const collects = collected(json)
  const which = { named: mounted.mountPoint, names: [] }
  try {
    process.exitCode = await showResumption(which, { timeout: DEFAULT_TIMEOUT }, collects, early)
  } finally {
    if (collects !== undefined) printJson<'mount'>({ ...mounted, reports: collects.reports })
  }
}
