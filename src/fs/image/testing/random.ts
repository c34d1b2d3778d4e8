/** Random numbers for tests: the same seed gives the same run, and a failing test prints its seed. */

export interface Random {
  /** A whole number from 0 to `below` - 1. */
  below(limit: number): number
  pick<T>(from: readonly T[]): T
  bytes(length: number): Uint8Array
}

/** mulberry32: 32 bits of state are plenty to choose test steps. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number): number => next() % limit
  return {
    below,
    pick: (from) => from[below(from.length)] as never,
    bytes: (length) => Uint8Array.from({ length }, () => below(256)),
  }
}

/** The seed of this run: `SEED=…` repeats one, otherwise each run has its own. */
export const testSeed = (): number => Number(process.env.SEED ?? Date.now() % 2 ** 31)
