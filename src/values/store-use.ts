/** How much of a pool of memfds the service manager has in its descriptor store. */
export interface StoreUse {
  /** Memory objects; the pool's own areas are not counted. */
  readonly stored: number
  /** Objects for which the store has no room: they are lost when keeper and server die at once. */
  readonly unstored: number
  readonly most: number
}

const NEARLY = 0.8

/** Whether to warn, while every object still has a place in the store. */
export const isNearlyFull = ({ stored, most }: Pick<StoreUse, 'stored' | 'most'>): boolean =>
  stored >= most * NEARLY
