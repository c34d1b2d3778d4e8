/**
 * Memory of a pool of the dax store that the kernel poisons: how scenarios do it, and how the pool shows it.
 */
import type { BadMemoryRow } from '../../src/pool/pool-bad-memory.ts'
import type { Host } from '../machine/host.ts'
import { poolStatus } from './pool.ts'
import type { Stage } from './scenario.ts'

const POISON = '/opt/testbed/guestmemfs/testbed/programs/memory/poison.ts'

/**
 * A page of a file, or of a node of device-dax. The kernel ends the program that asks for it by SIGBUS, as
 * one that met the page.
 */
export const poisonPage = (file: string, offset: number): string =>
  `node ${POISON} ${file} ${offset} || [[ $? -eq 135 ]]`

/** Of a pool in a region each row has an address. */
export type BadRow = BadMemoryRow & { readonly startByte: number }

/** The rows of a pool, once it shows `inFiles` blocks of files as bad, and `free` ones that no file has. */
export async function badRows(
  host: Host,
  pool: string,
  { free, inFiles }: { readonly free: number; readonly inFiles: number },
): Promise<readonly BadRow[]> {
  for (let look = 0; look < 100; look++) {
    const { health, bad } = await poolStatus(host, pool)
    if (bad !== null && health.badBlocks === free && (health.badBlocksInFiles ?? 0) === inFiles)
      return bad as readonly BadRow[]
    await host.run('sleep 0.2')
  }
  throw new Error(`pool ${pool} never had ${inFiles} bad blocks in files and ${free} others`)
}

/** One file gets all that is free, and none of it is bad. The file is deleted again. */
export async function takesAllButBad(
  { host, expect }: Stage,
  what: string,
  mountPoint: string,
  bad: readonly BadRow[],
): Promise<void> {
  const extents = await host.json<
    readonly Pick<BadRow, 'poolOffsetBytes' | 'lengthBytes'>[]
  >(`cd ${mountPoint}
    touch all; truncate -s $(( $(stat -f -c '%f * %S' .) )) all
    getfattr -h --only-values -n guestmemfs.extents all; rm all`)
  const hit = extents.filter((extent) =>
    bad.some(
      (row) =>
        row.poolOffsetBytes < extent.poolOffsetBytes + extent.lengthBytes &&
        extent.poolOffsetBytes < row.poolOffsetBytes + row.lengthBytes,
    ),
  )
  expect(`${what}: bad memory in a file`, hit, [])
  expect(`${what}: some memory is in it`, extents.length > 0, true)
}
