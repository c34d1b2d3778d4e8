/**
 * The kinds of store, as mount options, images, records and messages spell them. What each kind is and can do
 * is a row of src/stores/registry.ts.
 */
export const STORE_KINDS = ['memfd', 'dax', 'devmem'] as const
export type StoreKind = (typeof STORE_KINDS)[number]

/** All but memfd: the pool is in a region of this machine, which no process has to hold. */
export type RegionKind = Exclude<StoreKind, 'memfd'>
export const REGION_KINDS = STORE_KINDS.filter((kind) => kind !== 'memfd')

/** How memory is set aside for a pool at boot, in the words of /proc/iomem. */
export type CarveOutType = 'soft-reserved' | 'reserved'
