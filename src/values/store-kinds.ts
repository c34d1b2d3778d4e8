/**
 * The kinds of store, as mount options, images, records and messages spell them. What each kind is and can do
 * is a row of src/stores/registry.ts.
 */
export const STORE_KINDS = ['memfd', 'dax', 'devmem'] as const
export type StoreKind = (typeof STORE_KINDS)[number]

/** All but memfd: the pool is in a region of this machine, which no process has to hold. */
export type RegionKind = Exclude<StoreKind, 'memfd'>
export const isRegionKind = (kind: StoreKind): kind is RegionKind => kind !== 'memfd'
export const REGION_KINDS = STORE_KINDS.filter(isRegionKind)

/** The kind of a mount that names none. */
export const DEFAULT_STORE = 'memfd'

/** Whether the memory of a pool with that source is a region, which outlives the processes of the pool. */
export const isInRegion = <S extends { readonly kind: StoreKind }>(
  source: S,
): source is Exclude<S, { readonly kind: 'memfd' }> => isRegionKind(source.kind)

/** How memory is set aside for a pool at boot, in the words of /proc/iomem. */
export type CarveOutType = 'soft-reserved' | 'reserved'
