/**
 * Owns what a campaign is: rounds, each repeatable by its seed, for as long as it is given. Must not know
 * what a round does, nor where its ledger lies.
 */

/** What one round counted. A name that ends in `Most` is the largest of all rounds, any other their sum. */
export type Figures = Readonly<Record<string, number>>

/** One line of a ledger. */
export interface Round {
  readonly seed: number
  /** What the round was of, where a campaign goes through a list of things. */
  readonly key?: string
  readonly seconds: number
  readonly figures: Figures
  /** One line: what was wrong. */
  readonly failure?: string
}

export interface Stage {
  /** Rounds of this campaign on what is tested now, this run's among them, oldest first. */
  readonly done: readonly Round[]
  /** Seconds that are left. */
  readonly secondsLeft: () => number
  /** The seed of the next round: one more than the last one's. */
  readonly seed: () => number
  /** Notes a round. */
  readonly record: (round: Round) => void
  readonly say: (line: string) => void
}

export interface Campaign {
  /** One line for the list of campaigns. */
  readonly about: string
  /** Why this machine cannot run it, in one line. Installs what it needs. */
  readonly obstacle?: () => Promise<string | undefined>
  /** What is known of all its rounds together, where sums do not tell. */
  readonly known?: (rounds: readonly Round[]) => Record<string, number | string>
  /**
   * Rounds until the time is over. What a round found wrong is recorded; what is thrown ends the campaign.
   */
  readonly run: (stage: Stage) => Promise<void>
}

/** Of all rounds together. */
export function totalOf(rounds: readonly Round[]): Record<string, number> {
  const total: Record<string, number> = {}
  for (const { figures } of rounds)
    for (const [name, value] of Object.entries(figures)) {
      const before = total[name] ?? 0
      total[name] = name.endsWith('Most') ? Math.max(before, value) : before + value
    }
  return total
}

/** Adds to a figure. */
export function count(figures: Record<string, number>, name: string, by = 1): void {
  figures[name] = (figures[name] ?? 0) + by
}

/** Runs `work` as a round: timed, recorded, and what it throws is its failure. Answers whether it passed. */
export async function round(
  stage: Stage,
  seed: number,
  work: (figures: Record<string, number>) => Promise<void>,
  key?: string,
): Promise<boolean> {
  const figures: Record<string, number> = {}
  const startMs = performance.now()
  let failure: string | undefined
  try {
    await work(figures)
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    stage.say(text)
    failure = text.split('\n')[0] ?? ''
  }
  stage.record({
    seed,
    ...(key === undefined ? {} : { key }),
    seconds: Math.round((performance.now() - startMs) / 100) / 10,
    figures,
    ...(failure === undefined ? {} : { failure }),
  })
  return failure === undefined
}
