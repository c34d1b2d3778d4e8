/**
 * Whether the service manager's store has room for all of a pool: files that are not in it are lost when
 * keeper and server die at once, so the operator must know before. Must not: read a mount that no server
 * serves.
 */
import * as v from 'valibot'
import { UsageError } from '../values/errors.ts'
import { type Finding, ok, warn } from '../values/finding.ts'
import { isNearlyFull, type StoreUse } from '../values/store-use.ts'
import { summarisePools } from './pool-summary.ts'
import { readVirtual } from './pool-view.ts'

const Health = v.object({
  storedFiles: v.number(),
  unstoredFiles: v.number(),
  mostStoredFiles: v.number(),
})

/** `health`: `guestmemfs.health`. undefined: no service manager has copies of the descriptors. */
export function storeUseIn(health: unknown): StoreUse | undefined {
  const read = v.safeParse(Health, health)
  if (!read.success) return undefined
  const { storedFiles: stored, unstoredFiles: unstored, mostStoredFiles: most } = read.output
  return { stored, unstored, most }
}

/** One line for the operator. undefined: there is room. */
export function whyUnsafe({ stored, unstored, most }: StoreUse): string | undefined {
  if (unstored > 0)
    return `${unstored} files are not in the service manager's store, which takes ${most} of a pool: they are lost if keeper and server die at once; spread the files over two pools`
  if (isNearlyFull({ stored, most }))
    return `the service manager's store has ${stored} files of ${most} that it takes of a pool: further ones than that are lost if keeper and server die at once`
  return undefined
}

/** A finding for each pool that is served, and whose descriptors are in a store. */
export function checkStored(): Finding[] {
  return summarisePools().flatMap(({ pool, mountPoint, freeBytes }) => {
    // `freeBytes` is known only where a server answers.
    const use = mountPoint === null || freeBytes === null ? undefined : storeUseOf(mountPoint)
    if (use === undefined) return []
    const why = whyUnsafe(use)
    const name = `store of pool ${pool}`
    return why === undefined
      ? ok(name, `${use.stored} of ${use.most} files`)
      : warn(name, `${use.stored} of ${use.most} files`, why)
  })
}

function storeUseOf(mountPoint: string): StoreUse | undefined {
  try {
    return storeUseIn(readVirtual(mountPoint, 'health'))
  } catch (error) {
    if (error instanceof UsageError) return undefined
    throw error
  }
}
