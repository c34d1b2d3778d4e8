/**
 * Owns `guestmemfs keep POOL`, which the systemd unit calls and nobody else: it mounts what `guestmemfs mount` asked
 * the unit for, or, after a keeper died, brings a new one to the server that still lives. The keeper stays behind
 * in the unit's cgroup.
 */
import type { Command } from 'commander'
import { type Mounted, type MountRequest, mountPool } from '../keeper/mount-pool.ts'
import { isAlive, readPoolRecord } from '../keeper/pool-record.ts'
import { giveAnswer, hasRequest, takeRequest, writePidFile } from '../keeper/unit.ts'
import { UsageError } from '../values/errors.ts'

async function mountAsked(request: MountRequest): Promise<Mounted> {
  try {
    const mounted = await mountPool(request)
    giveAnswer(request.pool, { ok: true, mounted })
    return mounted
  } catch (error) {
    if (error instanceof UsageError) giveAnswer(request.pool, { ok: false, reason: error.message })
    throw error
  }
}

/** Where the keeper died and its server did not: the server's descriptors are the pool. */
function orphanedMountPoint(pool: string): string | undefined {
  const record = readPoolRecord(pool)
  if (!record?.server || record.mountPoint === null) return undefined
  return !isAlive(record.keeper) && isAlive(record.server) ? record.mountPoint : undefined
}

async function keep(pool: string, { check }: { check?: true }): Promise<void> {
  const mountPoint = orphanedMountPoint(pool)
  if (check) {
    // ExecCondition=: 1 means that there is nothing to do, and that this is no failure.
    process.exitCode = hasRequest(pool) || mountPoint !== undefined ? 0 : 1
    return
  }
  const request = takeRequest(pool)
  if (request) await mountAsked(request)
  else if (mountPoint !== undefined) await mountPool({ pool, mountPoint, options: [] })
  else
    throw new UsageError(`pool '${pool}': nobody asked to mount it, and no server is left without a keeper`)
  const keeper = readPoolRecord(pool)?.keeper
  if (keeper) writePidFile(pool, keeper.pid)
}

export function registerKeep(program: Command): void {
  program.command('keep', { hidden: true }).argument('<pool>').option('--check').action(keep)
}
