/** A pool's image for reading: in the process that holds it, in its region, or in a file that is a copy. */
import { existsSync, openSync, statSync } from 'node:fs'
import { findAreas } from '../keeper/takeover/held-areas.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { mapPrivate } from '../linux/private-map.ts'
import { isAlive } from '../run/process-identity.ts'
import { findRegion } from '../stores/registry.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { isInRegion } from '../values/store-kinds.ts'
import { findKnownPool } from './known-pools.ts'
import { checkSeen } from './unseen-processes.ts'

export interface PoolImage {
  readonly area: Uint8Array
  /** A server may be writing to it while it is read. */
  readonly isServed: boolean
}

/** `named`: a pool, a mount point, or a file that holds an image. Errors: UsageError. */
export function readPoolImage(named: string): PoolImage {
  const record = findKnownPool(named)
  if (record === undefined) {
    if (!named.includes('/') || !existsSync(named)) {
      throw new UsageError(
        `'${named}' is neither a pool, a mount point of one, nor a file (write ./${named} for a file here)`,
      )
    }
    return { area: mapFile(named), isServed: false }
  }
  if (process.getuid?.() !== 0)
    throw new UsageError(`reading the image of pool '${record.pool}' needs root: run it with sudo`)
  if (isInRegion(record.source))
    return { area: findRegion(record.source).readMetadata(), isServed: record.state === 'mounted' }
  const holder = [record.keeper, record.server].find((process) => process !== null && isAlive(process))
  // As long as there is a packed image from the former kernel, the other is not made yet.
  const areas = holder == null ? {} : findAreas(holder.pid)
  const fd = areas.packed ?? areas.image
  if (holder == null) checkSeen(record)
  if (holder == null || fd === undefined)
    throw new UsageError(`pool '${record.pool}' is held by no process any more: there is no image to read`)
  return { area: mapFile(`/proc/${holder.pid}/fd/${fd}`), isServed: record.state === 'mounted' }
}

function mapFile(path: string): Uint8Array {
  if (!statSync(path).isFile()) throw new UsageError(`${path} is not a regular file: there is no image in it`)
  let fd: Fd
  try {
    fd = openSync(path, 'r') as Fd
  } catch (error) {
    throw new UsageError(`${path} cannot be read (${errnoOfNodeError(error)})`)
  }
  return mapPrivate(fd)
}
