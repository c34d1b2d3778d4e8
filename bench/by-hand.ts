/**
 * The bench of the blackout of a kernel update beside that of an expert's script, which does the same by hand
 * for the same guests: one guest, and four.
 */
import { BY, type By, type HandUpdate, type Plan, updatesInTurns } from './by-hand/scenario.ts'
import { type Measured, median, medianOf } from './harness.ts'
import { atMostRow, fact, type Result, type Row } from './report.ts'
import { hostSettings, measureIn } from './throw-away-host.ts'

const GUESTS = [1, 4]
/** Of the medians. */
const MOST = 1.15

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

function sideOf(updates: readonly HandUpdate[], by: By, guests: number): Measured {
  const theirs = updates.filter((update) => update.by === by && update.guests === guests)
  return {
    name: `by ${by}, ${guests === 1 ? 'one guest' : `${guests} guests`}`,
    samples: {
      firstMs: theirs.map(({ silenceMs }) => Math.min(...silenceMs)),
      lastMs: theirs.map(({ silenceMs }) => Math.max(...silenceMs)),
      userSeconds: theirs.map(({ userSeconds }) => userSeconds),
      ...phaseSamples(theirs),
    },
  }
}

const PHASE = 'phase '

/** `phase save`, …: milliseconds of each update. None of the script, which reports nothing. */
function phaseSamples(updates: readonly HandUpdate[]): Record<string, number[]> {
  const reported = updates.flatMap(({ phasesMs }) => (phasesMs === undefined ? [] : [phasesMs]))
  const names = [...new Set(reported.flatMap((phases) => Object.keys(phases)))]
  return Object.fromEntries(
    names.map((name) => [`${PHASE}${name}`, reported.map((phases) => phases[name] ?? 0)]),
  )
}

/** Medians of the phases, in their order. */
const phaseWords = ({ samples }: Measured): string =>
  Object.entries(samples)
    .filter(([figure]) => figure.startsWith(PHASE))
    .map(([figure, all]) => `${figure.slice(PHASE.length)} ${seconds(median(all))}`)
    .join(', ')

function rowsOf(guests: number, [hand, ours]: readonly [Measured, Measured]): Row[] {
  const words = guests === 1 ? 'one guest' : `${guests} guests, the last of them`
  const spread = ({ samples }: Measured): string => {
    const all = samples.lastMs ?? []
    return `${seconds(median(all))} (${seconds(Math.min(...all))} to ${seconds(Math.max(...all))})`
  }
  return [
    fact(`${words}: by hand`, spread(hand)),
    fact(`${words}: by live-update`, spread(ours)),
    atMostRow(`${words}: ratio of the medians`, medianOf(ours, 'lastMs') / medianOf(hand, 'lastMs'), MOST),
    fact(`${words}: its phases by live-update, as its report has them`, phaseWords(ours)),
    fact(
      `${words}: processor seconds of the next user space, by hand and by live-update`,
      [hand, ours].map((side) => medianOf(side, 'userSeconds').toFixed(1)).join(', '),
    ),
  ]
}

/** `rounds`: updates by each side with each number of guests. Errors: the failure of the throw-away host. */
export async function benchByHand(rounds: number): Promise<Result> {
  const order = Array.from({ length: rounds }, (_, round): Plan[] =>
    GUESTS.flatMap((guests) => (round % 2 === 0 ? BY : BY.toReversed()).map((by) => ({ by, guests }))),
  ).flat()
  const { figures, summary } = await measureIn('bench-by-hand', updatesInTurns(order))
  const pairs = GUESTS.map(
    (guests) => [sideOf(figures, 'hand', guests), sideOf(figures, 'live-update', guests)] as const,
  )
  return {
    name: 'by-hand',
    title: "A new kernel under guests, by an expert's script and by live-update: how long a guest is silent",
    settings: { rounds, store: 'dax', init: 'busybox', ...hostSettings(summary) },
    measured: pairs.flat(),
    rows: pairs.flatMap((pair, index) => rowsOf(GUESTS[index] as number, pair)),
  }
}
