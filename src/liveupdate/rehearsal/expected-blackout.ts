/**
 * The blackout to expect of a guest, from the updates of the same kind that this host keeps reports of. Pure.
 */
import type { HostUpdate } from '../report/host-updates.ts'
import type { VmTimeline } from '../report/timeline.ts'
import type { KernelChange, UpdateReport } from '../report/update-report.ts'

export interface ExpectedBlackout {
  readonly medianUs: number
  readonly longestUs: number
  /** How many blackouts these are of. */
  readonly count: number
  /** `guest`: its own. `host`: those of all guests, as it has had no update of this kind. */
  readonly of: 'guest' | 'host'
}

/** What makes blackouts alike. */
export interface UpdateKind {
  readonly kind: UpdateReport['kind']
  /** Of an update of the kernel. */
  readonly via?: KernelChange['via']
}

/** The last ones count: kernels, units and machines change. */
const MOST_UPDATES = 5

/**
 * `updates`: in the order in which they ended. `quitFirst`: as of `VmTimeline`, of the update to come. null:
 * there was none of this kind.
 */
export function expectedBlackout(
  updates: readonly HostUpdate[],
  { kind, via }: UpdateKind,
  { name, quitFirst }: Pick<VmTimeline, 'name' | 'quitFirst'>,
): ExpectedBlackout | null {
  const way = wayOf(quitFirst)
  const alike = updates
    .filter((update) => update.kind === kind && (kind !== 'kernel' || jumpedBy(update) === via))
    .map(({ guests }) =>
      guests.filter((guest) => guest.outcome === 'updated' && wayOf(guest.quitFirst) === way),
    )
  const own = alike.flatMap((guests) => blackouts(guests.filter((guest) => guest.name === name)))
  if (own.length > 0) return summary(own.slice(-MOST_UPDATES), 'guest')
  const all = alike.map(blackouts).filter((each) => each.length > 0)
  return all.length === 0 ? null : summary(all.slice(-MOST_UPDATES).flat(), 'host')
}

/** undefined: there was no jump. */
const jumpedBy = ({ reports }: HostUpdate): KernelChange['via'] | undefined =>
  reports.find(({ kernel }) => kernel !== undefined && kernel.after !== null)?.kernel?.via

/** An old QEMU that ends first makes a blackout many times as long. */
const wayOf = (quitFirst: string | null | undefined): 'first' | 'last' | undefined =>
  quitFirst === undefined ? undefined : quitFirst === null ? 'last' : 'first'

const blackouts = (guests: readonly VmTimeline[]): number[] =>
  guests.flatMap(({ blackoutUs }) => blackoutUs ?? [])

/** `timesUs`: one at least. */
function summary(timesUs: readonly number[], of: ExpectedBlackout['of']): ExpectedBlackout {
  const sorted = timesUs.toSorted((a, b) => a - b)
  const longestUs = sorted.at(-1) as number
  const medianUs = sorted[Math.floor((sorted.length - 1) / 2)] as number
  return { medianUs, longestUs, count: sorted.length, of }
}
