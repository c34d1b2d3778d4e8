/**
 * Pools, their guests and their processes by the JSON of `guestmemfs`, as far as scenarios need it; and the
 * check of a pool's image.
 */
import type { Outputs } from '../../src/cli/json/outputs.ts'
import type { Host } from '../machine/host.ts'
import { readPrinted } from '../printed-json.ts'
import type { Stage } from './scenario.ts'

export type ListedPool = Outputs['list']['pools'][number]
export type ListedRam = ListedPool['ram'][number]
export type ListedVm = Outputs['vms']['vms'][number]

/** What `guestmemfs COMMAND --json` prints, with further `words`. */
export const printed = async <Command extends keyof Outputs>(
  host: Host,
  command: Command,
  words = '',
  options: { readonly timeoutMs?: number } = {},
): Promise<Outputs[Command]> =>
  readPrinted(command, await host.run(`guestmemfs ${command} --json ${words}`, options))

/** How a guest maps a file: `kind` is `file`, `device`, `window`, `awaited` or `lost`. */
export interface FileMap {
  readonly kind: string
  readonly sizeBytes: number
  readonly alignBytes: number
  /** The file that QEMU maps in its place; `offsetBytes`: of a window. */
  readonly path: string
  readonly offsetBytes: number
}

/** Of a file itself, also where its name is a symlink to a device. `name`: below /mnt/guestmemfs. */
export const mapOf = (host: Host, name: string): Promise<FileMap> =>
  host.json<FileMap>(`getfattr -h --only-values -n guestmemfs.map /mnt/guestmemfs/${name}`)

/** By default of the pool `guestmemfs`. */
export const poolStatus = (host: Host, pool = 'guestmemfs'): Promise<Outputs['status']> =>
  printed(host, 'status', pool)

export const listPools = async (host: Host): Promise<readonly ListedPool[]> =>
  (await printed(host, 'list')).pools

/** The only guest of the pool. Throws where there are none or several. */
export async function onlyVm(host: Host, mountPoint = '/mnt/guestmemfs'): Promise<ListedVm> {
  const { vms } = await printed(host, 'vms', mountPoint)
  const [vm] = vms
  if (vm === undefined || vms.length > 1) throw new Error(`not one guest: ${JSON.stringify(vms)}`)
  return vm
}

/** Of the host's only pool. */
export async function keeperPid(host: Host): Promise<number> {
  const [pool] = await listPools(host)
  if (pool?.keeperPid == null) throw new Error('there is no pool')
  return pool.keeperPid
}

export async function killServer(host: Host): Promise<void> {
  const { server } = await poolStatus(host)
  await host.run(`kill -KILL ${server.pid}`)
}

/** The pool must be as the next kernel finds it: still frozen, nothing lost, its image without a fault. */
export async function expectFrozen(stage: Stage, store: string): Promise<void> {
  const status = await poolStatus(stage.host)
  stage.keep('status', status)
  const { identity, health } = status
  stage.expect(
    'found',
    { store: identity.store, frozen: identity.frozen, lostFiles: health.lostFiles },
    { store, frozen: true, lostFiles: 0 },
  )
  await expectClean(stage)
}

export const expectThawed = ({ host, phase, expect }: Stage): Promise<void> =>
  phase('thaw', async () =>
    expect('thawed', await host.run('guestmemfs thaw'), /^guestmemfs on \S+: thawed$/),
  )

/** `fsck` must have no finding on the pool's image. */
export async function expectClean(
  { host, expect }: Stage,
  what = 'fsck',
  pool = 'guestmemfs',
): Promise<void> {
  expect(what, await host.run(`guestmemfs fsck ${pool}`), `${pool}: clean`)
}

/** The keeper has retrieved all files that the former kernel handed over, but for `lostFiles` lost ones. */
export async function expectArrived({ host, expect }: Stage, lostFiles = 0): Promise<void> {
  for (let look = 0; (await poolStatus(host)).health.awaitedFiles > 0; look++) {
    if (look === 100) throw new Error('the keeper has not retrieved all files from the former kernel')
    await host.run('sleep 0.2')
  }
  expect('files that were lost', (await poolStatus(host)).health.lostFiles, lostFiles)
}

/** The output of a command that must fail: throws where it succeeds. */
export const refusal = (
  host: Host,
  command: string,
  options: { readonly timeoutMs?: number } = {},
): Promise<string> => host.run(`! { ${command}; } 2>&1`, options)
