/**
 * The interface of a campaign: rounds, each repeatable by its seed, until its time is over. Must not: depend
 * on what a round does, or on where its ledger is.
 */

/** Counts of one round. Over all rounds a name that ends in `Most` is their maximum, any other their sum. */
export type Figures = Readonly<Record<string, number>>

/** One line of a ledger. */
export interface Round {
  readonly seed: number
  /** The item of the round, where a campaign goes through a list. */
  readonly key?: string
  readonly seconds: number
  readonly figures: Figures
  /** The fault, in one line. */
  readonly failure?: string
}

export interface Stage {
  /** Rounds of this campaign on the present tree, this run's among them, oldest first. */
  readonly done: readonly Round[]
  /** Seconds that are left. */
  readonly secondsLeft: () => number
  /** The seed of the next round: one more than the last one's. */
  readonly seed: () => number
  /** Writes a round to the ledger. */
  readonly record: (round: Round) => void
  readonly say: (line: string) => void
}

export interface Campaign {
  /** One line for the list of campaigns. */
  readonly about: string
  /** Why this machine cannot run it, in one line. Installs what it needs. */
  readonly obstacle?: () => Promise<string | undefined>
  /** Figures of all rounds together which are not sums. */
  readonly known?: (rounds: readonly Round[]) => Record<string, number | string>
  /** Runs rounds until the time is over. A round's fault is recorded; an exception ends the campaign. */
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

/**
 * Runs `work` as a round: timed and recorded, with an exception as its failure. Returns whether it passed.
 */
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
