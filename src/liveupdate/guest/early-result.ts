/** What came of guests whose QEMUs were started before their pool was mounted (src/early). Types alone. */

/** When a step of a guest that went on before its mount was done, in milliseconds since the epoch. */
export type EarlyStep = readonly ['wait' | 'launch' | 'start' | 'load' | 'continue', number]

export interface EarlyResult {
  readonly steps: readonly EarlyStep[]
  /** As of `LoadedGuest`. */
  readonly unset: readonly string[]
}

/**
 * Guests whose QEMUs were started before the mount, by name. Each resolves when its guest has gone on, or
 * with undefined: it has not, and is to be resumed.
 */
export type EarlyGuests = ReadonlyMap<string, Promise<EarlyResult | undefined>>
