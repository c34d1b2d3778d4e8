/**
 * Owns how things are compared: every round runs each side once, in alternating order, so that whatever else
 * the machine is doing falls on all of them; figures are medians over rounds unless a bench says otherwise.
 * Must not assert: a bench reports.
 */

/** One side of a comparison. `run` answers its figures for one round, by name. */
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

/** Of the straight line through points (x, y) that fits best, by least squares. */
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
 * The largest: of a throughput, what it is when nothing else runs. Only for figures that disturbance can but
 * lower.
 */
export function bestOf({ name, samples }: Measured, figure: string): number {
  const values = samples[figure]
  if (!values) throw new RangeError(`${name} has no figure ${figure}`)
  return Math.max(...values)
}

/**
 * Runs `rounds` rounds after `warmUps` that are thrown away. Each round begins with the next side: none of
 * several comes right after itself, where it would pay for what its last run put off. `progress` is told of
 * each side that is about to run.
 */
export async function interleave(
  sides: readonly Side[],
  { rounds, warmUps = 1, progress }: { rounds: number; warmUps?: number; progress: (line: string) => void },
): Promise<Measured[]> {
  const measured = sides.map(({ name }) => ({ name, samples: {} as Samples }))
  for (let round = 1 - warmUps; round <= rounds; round += 1) {
    const first = (round - 1 + warmUps) % sides.length
    const order = [...sides.keys()].map((_, index) => (first + index) % sides.length)
    for (const index of order) {
      progress(`${round < 1 ? 'warm-up' : `round ${round} of ${rounds}`}: ${sides[index]!.name}`)
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
