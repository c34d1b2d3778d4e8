/**
 * The lifetimes of the killed processes, by which a load checks what it found, and the load's report. Must
 * not: look at a pool.
 */

/** From, to: milliseconds since the epoch. */
export type Span = readonly [number, number]

/** Whether the pool's memory ends with its processes, or not. */
export type Memory = 'memfds' | 'region'

export interface Lifetimes {
  /** No process held all of the pool; it began somewhere in each of these. */
  readonly bothDied: readonly Span[]
  /** The time of each keeper, from when the record named it. */
  readonly keepers: readonly Span[]
}

export interface LoadResult {
  readonly operations: number
  readonly files: number
  readonly refused: number
  readonly lost: number
  /** Operations during which the kernel ended the connection, and those of them that were applied. */
  readonly cut: number
  readonly cutAndApplied: number
  /** The longest time for which a keeper held a file whose memory is lost. */
  readonly longestHeldMs: number
}

/**
 * The longest time for which one keeper held a file before the first death of both after it was made. Both
 * may die between its making and the answer that the load waits for.
 */
export function heldBeforeLoss([startMs, madeMs]: Span, { bothDied, keepers }: Lifetimes): number {
  const death = bothDied.find(([, toMs]) => toMs >= startMs)
  if (death === undefined) return Infinity
  const held = keepers.map(([from, to]) => Math.min(to, death[0]) - Math.max(from, madeMs))
  return Math.max(0, ...held)
}
