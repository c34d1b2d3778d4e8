/**
 * Comparisons: every round runs each side once, in a balanced order, so that other load of the machine
 * affects all sides alike; figures are medians over rounds unless a bench says otherwise. Must not: assert,
 * as a bench reports.
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** One side of a comparison. `run` returns its figures for one round, by name. */
export interface Side {
  readonly name: string
  readonly run: () => Promise<Record<string, number>> | Record<string, number>
}

/** Figure → one number per round. */
export type Samples = Record<string, number[]>

export interface Measured {
  readonly name: string
  readonly samples: Samples
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Of the best-fit line through points (x, y), by least squares. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]
  const rise = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0)
  return rise / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
}

export function medianOf({ name, samples }: Measured, figure: string): number {
  const values = samples[figure]
  if (!values) throw new RangeError(`${name} has no figure ${figure}`)
  return median(values)
}

/**
 * The largest: of a throughput, that of the least disturbed round. Only for figures that disturbance cannot
 * raise.
 */
export function bestOf({ name, samples }: Measured, figure: string): number {
  const values = samples[figure]
  if (!values) throw new RangeError(`${name} has no figure ${figure}`)
  return Math.max(...values)
}

/** Time for a side's deferred work (evictions, FORGETs, zeroing) before the next one is measured. */
const SETTLE_MS = 100

/**
 * The order in which round `round` (from 0) runs `count` sides. Over `count` rounds (twice as many where
 * `count` is odd) each side has each place, and comes after each other side, equally often: a Williams
 * design, a Latin square that is balanced for carry-over effects.
 */
export function orderOf(round: number, count: number): number[] {
  const zigzag = [...Array(count).keys()].map((place) =>
    place % 2 === 1 ? (place + 1) / 2 : count - place / 2,
  )
  const order = zigzag.map((index) => (index + round) % count)
  return count % 2 === 1 && Math.floor(round / count) % 2 === 1 ? order.reverse() : order
}

/**
 * Runs `rounds` rounds after `warmUps`, whose figures are dropped, each side once a round. Calls `progress`
 * before each side. `settleMs`: the pause before each.
 */
export async function interleave(
  sides: readonly Side[],
  {
    rounds,
    warmUps = 1,
    settleMs = SETTLE_MS,
    progress,
  }: { rounds: number; warmUps?: number; settleMs?: number; progress: (line: string) => void },
): Promise<Measured[]> {
  const measured = sides.map(({ name }) => ({ name, samples: {} as Samples }))
  for (let round = 1 - warmUps; round <= rounds; round += 1) {
    for (const index of orderOf(round - 1 + warmUps, sides.length)) {
      progress(`${round < 1 ? 'warm-up' : `round ${round} of ${rounds}`}: ${sides[index]!.name}`)
      await sleep(settleMs)
      const figures = await sides[index]!.run()
      if (round < 1) continue
      for (const [figure, value] of Object.entries(figures)) {
        const { samples } = measured[index]!
        samples[figure] = [...(samples[figure] ?? []), value]
      }
    }
  }
  return measured
}
