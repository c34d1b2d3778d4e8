/**
 * Detects that another keeper owns the pool. Two keepers may have copied a pool out of one previous holder,
 * where neither saw the other's lock file (/run was mounted over in between). The kernel gives the image's
 * lock to one of their servers. The other keeper must end: its server would get the lock as soon as the first
 * one ends, without the objects that were made since. Nothing is lost by that, because the owner and its
 * keeper hold all that this keeper copied.
 */
import type { ServerProcess } from '../server-process.ts'
import { processRole } from './process-role.ts'

/**
 * Resolves when `server` serves or has ended, with the pid of the other server that has the image's lock.
 * undefined: there is none. Where a process that is no server holds the lock, no keeper owns the pool, and
 * `killed`, the previous holder, may be slow to end: in both cases the keeper goes on starting servers.
 */
export async function findOwner(server: ServerProcess, killed: number): Promise<number | undefined> {
  const served = await server.served()
  if (served === 'serving' || served.kind !== 'refused' || served.ownerPid === undefined) return undefined
  return served.ownerPid !== killed && processRole(served.ownerPid) === 'server' ? served.ownerPid : undefined
}
