/**
 * The registry: every kind of store, one row each. Mount options, commands, the keeper and the server read
 * here what they need of a kind; no other code compares a kind's name.
 */
import { BrokenInvariantError } from '../values/errors.ts'
import type { RegionKind, StoreKind } from '../values/store-kinds.ts'
import { DAX } from './dax/dax-driver.ts'
import { DEVMEM } from './devmem/devmem-driver.ts'
import type { Region, StoreDriver } from './driver.ts'
import { MEMFD } from './memfd/memfd-driver.ts'

export const STORES: Record<StoreKind, StoreDriver> = { memfd: MEMFD, dax: DAX, devmem: DEVMEM }

/** A region of this machine: `region` null means the only one there is. A plain value. */
export interface RegionChoice {
  readonly kind: RegionKind
  readonly region: string | null
}

/** `stores`: tests have one more. Throws UsageError: one line that says what to do. */
export function findRegion(
  { kind, region }: { readonly kind: string; readonly region: string | null },
  stores: Readonly<Record<string, StoreDriver>> = STORES,
): Region {
  const find = stores[kind]?.find
  if (find === undefined) throw new BrokenInvariantError(`store ${kind} has no regions`)
  return find(region)
}

/** For the kind that an image names, which may be of another version. */
export const chunkBlocksOf = (
  kind: string,
  stores: Readonly<Record<string, StoreDriver>> = STORES,
): number | undefined => stores[kind]?.chunkBlocks
